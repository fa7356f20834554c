//! Who a request comes from.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::roles::{OrgRole, PlatformRole};
use super::scopes::{OrgContext, ScopeContext};
use crate::error::Code;
use crate::values::ids::{ApiKeyId, OrgId, SessionId, UserId};

/// What a request's credential turned out to be. Whether that matters is for the handler's [`Caller`](super::Caller) to
/// say: a public endpoint looks at none of it.
#[derive(Clone, Debug)]
pub enum Identity {
    /// No credential came with it.
    Anonymous,
    /// The credential is not good, or could not be checked.
    Refused(Code, &'static str),
    /// The credential is good.
    Authenticated(Arc<Principal>),
}

/// A person, by a session or by an API key.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The person.
    pub user_id: UserId,
    /// What the audit log calls them: the username, or the address of one who has none yet.
    pub name: String,
    /// The username, if they have one.
    pub username: Option<String>,
    /// Their role on the platform, as it is now.
    pub role: PlatformRole,
    /// The organisation the credential acts in.
    pub active_org: Option<ActiveOrg>,
    /// Services they may not use there.
    pub disabled_services: Vec<String>,
    /// By what.
    pub credential: Credential,
}

impl Principal {
    /// The context that decides which scopes the person may use; the scopes granted to the credential play no part.
    pub fn scope_context(&self) -> ScopeContext<'_> {
        ScopeContext {
            platform_role: self.role,
            org: self.active_org.map_or(OrgContext::Personal, |org| OrgContext::Member {
                role: org.role,
                disabled_services: &self.disabled_services,
            }),
        }
    }

    /// The one organisation that the person is shown, where the credential is a key that is bound to it.
    pub fn bound_to(&self) -> Option<OrgId> {
        match self.credential {
            Credential::Session { .. } => None,
            Credential::ApiKey { .. } => self.active_org.map(|acting| acting.org_id),
        }
    }

    /// Whether the credential is bound to another organisation than this one, which it is not shown.
    pub fn is_bound_elsewhere(&self, org_id: OrgId) -> bool {
        self.bound_to().is_some_and(|bound| bound != org_id)
    }
}

/// Where a credential acts, and as what; read from the membership, not from the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveOrg {
    /// The organisation.
    pub org_id: OrgId,
    /// The person's role there, as it is now.
    pub role: OrgRole,
}

/// The two kinds of credential.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A session's access token.
    Session {
        /// The session.
        id: SessionId,
        /// When the password was last shown.
        authenticated_at: DateTime<Utc>,
    },
    /// An API key.
    ApiKey {
        /// The key.
        id: ApiKeyId,
        /// Its name.
        name: String,
        /// What it may do now: its scopes, less what its owner may not do.
        scopes: Vec<String>,
    },
}
