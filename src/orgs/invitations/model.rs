//! What an invitation is, and what has become of it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::OrgRole;
use crate::config::Config;
use crate::orgs::OrgBriefResponse;
use crate::orgs::members::{Person, PersonResponse};
use crate::values::ids::{InvitationId, OrgId, UserId};
use crate::values::{Timestamp, string_enum};

string_enum! {
    /// What has become of an invitation.
    pub enum InvitationState {
        /// It can be accepted.
        Pending "pending",
        /// Who was invited is a member, or was.
        Accepted "accepted",
        /// Who was invited did not want to.
        Declined "declined",
        /// It was taken back.
        Revoked "revoked",
        /// Nobody decided in time.
        Expired "expired",
    }
}

/// An invitation, as stored.
#[derive(Clone, Debug, Queryable)]
pub struct Invitation {
    pub id: InvitationId,
    pub email: String,
    role: String,
    /// Where to: id, name, slug.
    pub org: (OrgId, String, String),
    /// Who invites, if they still have an account.
    pub inviter: Option<Person>,
    pub locale: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    declined_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl Invitation {
    /// The role offered.
    pub fn role(&self) -> OrgRole {
        OrgRole::stored(&self.role)
    }

    /// Where to.
    pub const fn org_id(&self) -> OrgId {
        self.org.0
    }

    /// Who invites.
    pub fn invited_by(&self) -> Option<UserId> {
        self.inviter.as_ref().map(|person| person.id)
    }

    /// What has become of it by now.
    pub fn state(&self, now: DateTime<Utc>) -> InvitationState {
        if self.accepted_at.is_some() {
            InvitationState::Accepted
        } else if self.declined_at.is_some() {
            InvitationState::Declined
        } else if self.revoked_at.is_some_and(|at| at < self.expires_at) {
            InvitationState::Revoked
        } else if self.revoked_at.is_some() || self.expires_at <= now {
            // One that had expired is closed when a newer one takes its place.
            InvitationState::Expired
        } else {
            InvitationState::Pending
        }
    }
}

/// An invitation.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
pub struct InvitationResponse {
    /// The invitation.
    pub id: InvitationId,
    /// Whom it is for.
    pub email: String,
    /// The role offered.
    pub role: OrgRole,
    /// What has become of it.
    pub state: InvitationState,
    /// Where to.
    pub org: OrgBriefResponse,
    /// Who invites; null once they have no account.
    pub invited_by: Option<PersonResponse>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    pub expires_at: Timestamp,
}

impl InvitationResponse {
    /// Of what is stored.
    pub fn new(invitation: Invitation, now: DateTime<Utc>, config: &Config) -> Self {
        let (role, state) = (invitation.role(), invitation.state(now));
        let (id, name, slug) = invitation.org;
        Self {
            id: invitation.id,
            email: invitation.email,
            role,
            state,
            org: OrgBriefResponse { id, name, slug },
            invited_by: invitation.inviter.map(|person| PersonResponse::new(person, config)),
            created_at: invitation.created_at.into(),
            expires_at: invitation.expires_at.into(),
        }
    }
}
