//! An invitation, its states, and its form in responses.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::auth::OrgRole;
use crate::config::Config;
use crate::orgs::{OrgBrief, Person, PersonResponse};
use crate::request_type;
use crate::values::ids::{InvitationId, OrgId, UserId};
use crate::values::locale::Locale;
use crate::values::{Timestamp, string_enum};

string_enum! {
    /// The state of an invitation.
    pub enum InvitationState {
        /// It can be accepted.
        Pending "pending",
        /// The invited person became a member.
        Accepted "accepted",
        /// The invited person declined.
        Declined "declined",
        /// An admin revoked it, or its inviter left or may no longer give its role.
        Revoked "revoked",
        /// It was not decided within seven days.
        Expired "expired",
    }
}

/// An invitation with its organisation and inviter.
#[derive(Clone, Debug, Queryable)]
pub struct Invitation {
    pub id: InvitationId,
    pub email: String,
    pub role: OrgRole,
    pub org: OrgBrief,
    /// `None` once the inviter's account is deleted.
    pub inviter: Option<Person>,
    /// The language of its e-mails.
    pub locale: Locale,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    declined_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl Invitation {
    pub const fn org_id(&self) -> OrgId {
        self.org.id
    }

    pub fn inviter_id(&self) -> Option<UserId> {
        self.inviter.as_ref().map(|person| person.id)
    }

    pub fn state(&self, now: DateTime<Utc>) -> InvitationState {
        if self.accepted_at.is_some() {
            InvitationState::Accepted
        } else if self.declined_at.is_some() {
            InvitationState::Declined
        } else if self.revoked_at.is_some_and(|at| at < self.expires_at) {
            InvitationState::Revoked
        } else if self.revoked_at.is_some() || self.expires_at <= now {
            // `revoked_at` is set on an expired invitation when a newer one replaces it.
            InvitationState::Expired
        } else {
            InvitationState::Pending
        }
    }
}

/// The invitations that a query can return.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Those of an organisation.
    Org(OrgId),
    /// Those for an e-mail address.
    Email(&'a str),
}

request_type! {
    /// Filters of the list.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct InvitationFilter {
        /// Only invitations in this state.
        #[param(required = false, nullable = false)]
        pub state: Option<InvitationState>,
    }
}

/// An invitation.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
pub struct InvitationResponse {
    /// Id of the invitation.
    pub id: InvitationId,
    /// Invited e-mail address.
    pub email: String,
    /// Role that the invited person gets.
    pub role: OrgRole,
    /// State of the invitation.
    pub state: InvitationState,
    /// Organisation that the person is invited to.
    pub org: OrgBrief,
    /// Person who sent the invitation; null once their account is deleted.
    pub invited_by: Option<PersonResponse>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time at which the invitation expires.
    pub expires_at: Timestamp,
}

impl InvitationResponse {
    pub fn new(invitation: Invitation, now: DateTime<Utc>, config: &Config) -> Self {
        Self {
            id: invitation.id,
            state: invitation.state(now),
            email: invitation.email,
            role: invitation.role,
            org: invitation.org,
            invited_by: invitation.inviter.map(|person| PersonResponse::new(person, config)),
            created_at: invitation.created_at.into(),
            expires_at: invitation.expires_at.into(),
        }
    }
}
