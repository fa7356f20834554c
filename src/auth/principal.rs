//! The identity of a request: the person for whom it acts, and its credential.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::roles::{OrgRole, PlatformRole};
use super::scopes::{OrgContext, ScopeContext};
use crate::error::Code;
use crate::secret::TokenHash;
use crate::values::ids::{ApiKeyId, OrgId, SessionId, UserId};

/// The result of checking the credential of a request. Only a [`Caller`](super::Caller) turns it into an error response, so a
/// public endpoint also accepts requests with an invalid credential.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The request has no credential.
    Anonymous,
    /// The credential is not valid or could not be checked: error code and detail.
    Refused(Code, &'static str),
    Authenticated(Arc<Principal>),
}

/// The person a request acts for.
#[derive(Clone, Debug)]
pub struct Principal {
    pub user_id: UserId,
    /// The name in audit records and in messages to others: the username, or the nickname of a user without one. Never the
    /// e-mail address, which others may not see.
    pub name: Option<String>,
    pub username: Option<String>,
    /// The current role, not the one in the access token.
    pub role: PlatformRole,
    /// The organisation the credential acts in.
    pub active_org: Option<ActiveOrg>,
    /// Services that are disabled for the person in that organisation.
    pub disabled_services: Vec<String>,
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

    /// The organisation that the credential is bound to, if it is an API key of an organisation. Such a key cannot access any
    /// other organisation.
    pub fn bound_to(&self) -> Option<OrgId> {
        match self.credential {
            Credential::Session { .. } => None,
            Credential::ApiKey { .. } => self.active_org.map(|org| org.org_id),
        }
    }

    /// Whether the credential is bound to an organisation other than this one.
    pub fn is_bound_elsewhere(&self, org_id: OrgId) -> bool {
        self.bound_to().is_some_and(|bound| bound != org_id)
    }
}

/// The organisation a credential acts in. The role is that of the membership, not that in the access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveOrg {
    pub org_id: OrgId,
    pub role: OrgRole,
}

#[derive(Clone, Debug)]
pub enum Credential {
    /// The access token of a session.
    Session {
        id: SessionId,
        /// When the user last entered the password in this session.
        authenticated_at: DateTime<Utc>,
    },
    ApiKey {
        id: ApiKeyId,
        /// Which of the secrets of the key was presented.
        secret_hash: TokenHash,
        name: String,
        /// The granted scopes that the owner may use at present.
        scopes: Vec<String>,
    },
}
