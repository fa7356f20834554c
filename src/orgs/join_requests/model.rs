//! What a request to join is, and what has become of it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Config;
use crate::orgs::OrgBriefResponse;
use crate::orgs::members::{Person, PersonResponse};
use crate::values::ids::{JoinRequestId, OrgId};
use crate::values::{Timestamp, clean_text, string_enum};

string_enum! {
    /// What has become of a request to join.
    pub enum JoinRequestState {
        /// Nobody has decided.
        Pending "pending",
        /// Who asked is a member, or was.
        Approved "approved",
        /// The organisation did not want to.
        Rejected "rejected",
        /// Who asked took it back.
        Withdrawn "withdrawn",
    }
}

crate::text_type! {
    /// What somebody says who asks to join.
    pub struct RequestMessage(1..=500) by clean_text, example "I work on the engine."
}

crate::text_type! {
    /// Why a request is rejected; who asked reads it.
    pub struct RejectionReason(1..=500) by clean_text, example "Please ask with your work address."
}

/// A request, as stored.
#[derive(Clone, Debug, Queryable)]
pub struct JoinRequest {
    pub id: JoinRequestId,
    /// Who asks.
    pub person: Person,
    /// Where to: id, name, slug.
    pub org: (OrgId, String, String),
    pub message: Option<String>,
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    approved_at: Option<DateTime<Utc>>,
    rejected_at: Option<DateTime<Utc>>,
    withdrawn_at: Option<DateTime<Utc>>,
}

impl JoinRequest {
    /// What has become of it.
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

/// A request to join.
#[derive(Serialize, ToSchema)]
#[schema(as = JoinRequest)]
pub struct JoinRequestResponse {
    /// The request.
    pub id: JoinRequestId,
    /// Who asks.
    pub user: PersonResponse,
    /// Where to.
    pub org: OrgBriefResponse,
    /// What they say.
    pub message: Option<String>,
    /// What has become of it.
    pub state: JoinRequestState,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// When they asked.
    pub created_at: Timestamp,
    /// When it was approved, rejected or withdrawn.
    pub decided_at: Option<Timestamp>,
}

impl JoinRequestResponse {
    /// Of what is stored.
    pub fn new(request: JoinRequest, config: &Config) -> Self {
        let state = request.state();
        let decided_at = request.approved_at.or(request.rejected_at).or(request.withdrawn_at);
        let (id, name, slug) = request.org;
        Self {
            id: request.id,
            user: PersonResponse::new(request.person, config),
            org: OrgBriefResponse { id, name, slug },
            message: request.message,
            state,
            reason: request.reason,
            created_at: request.created_at.into(),
            decided_at: decided_at.map(Timestamp),
        }
    }
}
