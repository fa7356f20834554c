//! A request to join, its states, and its form in responses.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::config::Config;
use crate::orgs::{OrgBrief, Person, PersonResponse};
use crate::request_type;
use crate::values::ids::{JoinRequestId, OrgId, UserId};
use crate::values::{Timestamp, clean_text, string_enum};

string_enum! {
    /// The state of a request to join.
    pub enum JoinRequestState {
        /// It is not decided yet.
        Pending "pending",
        /// The user became a member.
        Approved "approved",
        /// An admin rejected it.
        Rejected "rejected",
        /// The user withdrew it.
        Withdrawn "withdrawn",
    }
}

crate::text_type! {
    /// A message to the owners and admins of the organisation.
    pub struct RequestMessage(1..=500) by clean_text, example "I work on the engine."
}

crate::text_type! {
    /// The reason for a rejection, which the user is notified of.
    pub struct RejectionReason(1..=500) by clean_text, example "Please use your work address."
}

/// A request to join with its person and organisation.
#[derive(Clone, Debug, Queryable)]
pub struct JoinRequest {
    pub id: JoinRequestId,
    pub person: Person,
    pub org: OrgBrief,
    pub message: Option<String>,
    /// Why it was rejected.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    approved_at: Option<DateTime<Utc>>,
    rejected_at: Option<DateTime<Utc>>,
    withdrawn_at: Option<DateTime<Utc>>,
}

impl JoinRequest {
    pub const fn state(&self) -> JoinRequestState {
        if self.approved_at.is_some() {
            JoinRequestState::Approved
        } else if self.rejected_at.is_some() {
            JoinRequestState::Rejected
        } else if self.withdrawn_at.is_some() {
            JoinRequestState::Withdrawn
        } else {
            JoinRequestState::Pending
        }
    }
}

/// The requests that a query can return.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    /// Those to an organisation.
    Org(OrgId),
    /// Those of a user.
    User(UserId),
}

request_type! {
    /// Filters of the list.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct JoinRequestFilter {
        /// Only requests in this state.
        #[param(required = false, nullable = false)]
        pub state: Option<JoinRequestState>,
    }
}

/// A request to join an organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = JoinRequest)]
pub struct JoinRequestResponse {
    /// Id of the request.
    pub id: JoinRequestId,
    /// User who wants to join.
    pub user: PersonResponse,
    /// Organisation that the user wants to join.
    pub org: OrgBrief,
    /// Message of the user to the owners and admins.
    pub message: Option<String>,
    /// State of the request.
    pub state: JoinRequestState,
    /// Reason for the rejection.
    pub reason: Option<String>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time at which the request was approved, rejected or withdrawn.
    pub decided_at: Option<Timestamp>,
}

impl JoinRequestResponse {
    pub fn new(request: JoinRequest, config: &Config) -> Self {
        let decided_at = request.approved_at.or(request.rejected_at).or(request.withdrawn_at);
        Self {
            id: request.id,
            state: request.state(),
            user: PersonResponse::new(request.person, config),
            org: request.org,
            message: request.message,
            reason: request.reason,
            created_at: request.created_at.into(),
            decided_at: decided_at.map(Timestamp),
        }
    }
}
