//! The use cases of requests to join: find an organisation, request, list, withdraw, reject; and functions for
//! `admission`.

use serde_json::json;

use super::model::{JoinRequest, JoinRequestFilter, RejectionReason, RequestMessage, Scope};
use super::store::{self, Decision};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Principal};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::notifications::{self, Event, Subject};
use crate::orgs::{self, JoinPolicy, Org, OrgMember, PermissionType, Slug, can, membership};
use crate::secret::ServerSecret;
use crate::users::{self, User};
use crate::values::ids::{JoinRequestId, OrgId, UserId};
use crate::values::{Cursors, Page, PageQuery};

/// The requests to an organisation or of a person, newest first.
pub fn list(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    scope: Scope,
    filter: &JoinRequestFilter,
    page: &PageQuery,
) -> Result<Page<JoinRequest>, Error> {
    let list_name = match scope {
        Scope::Org(org_id) => json!(["org", org_id, filter.state]),
        Scope::User(user_id) => json!(["user", user_id, filter.state]),
    };
    let cursors = Cursors::new(secret, format!("join requests {list_name}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list(tx, scope, filter.state, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |row| (row.created_at, row.id))
}

/// The organisation with this slug, if it accepts requests to join.
///
/// # Errors
/// `not_found`.
pub fn find_open_by_slug(tx: &mut Tx<'_>, slug: String) -> Result<Org, Error> {
    let slug = Slug::try_from(slug).map_err(|_| Error::not_found())?;
    orgs::find_by_slug(tx, &slug)?
        .filter(|org| org.join_policy == JoinPolicy::Request)
        .ok_or_else(Error::not_found)
}

/// An organisation that accepts requests to join. For its members it is found under any join policy; [`create`] then returns
/// `already_member`.
///
/// # Errors
/// `not_found`.
pub fn find_open(tx: &mut Tx<'_>, caller: &Principal, org_id: OrgId) -> Result<Org, Error> {
    let org = orgs::find_org(tx, org_id)?;
    if org.join_policy != JoinPolicy::Request {
        membership::require(tx, org_id, caller.user_id)?;
    }
    Ok(org)
}

/// How many requests of a person can be pending.
const MAX_PENDING: i64 = 100;

/// Requests to join an organisation, and notifies its owners and admins.
///
/// # Errors
/// `already_member`, `already_requested`; `limit_reached` with [`MAX_PENDING`] other requests.
pub fn create<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    org_id: OrgId,
    message: Option<&RequestMessage>,
) -> Result<JoinRequest, Error> {
    // The lock prevents that a concurrent acceptance makes the caller a member after the check.
    orgs::lock(tx, org_id)?;
    let org = find_open(tx, caller, org_id)?;
    if membership::find(tx, org_id, caller.user_id)?.is_some() {
        return Err(Error::new(Code::AlreadyMember));
    }
    // Exact, because the transaction has locked the caller's account.
    let pending = store::count_pending(tx, caller.user_id)?;
    let message = message.map(RequestMessage::as_str);
    let id = store::insert(tx, org_id, caller.user_id, message)?.ok_or_else(|| Error::new(Code::AlreadyRequested))?;
    if pending >= MAX_PENDING {
        let detail = format!("You have {MAX_PENDING} pending requests to join. Withdraw one first.");
        return Err(Error::with_detail(Code::LimitReached, detail));
    }
    let request = reload(tx, org_id, id)?;
    let person = request.person.display_name().map(ToOwned::to_owned);
    let event = Event::JoinRequest {
        org_id,
        org_name: org.name,
        person,
        message: message.map(ToOwned::to_owned),
        join_request_id: id,
    };
    for contact in &membership::list_admins(tx, org_id)? {
        notifications::notify(tx, contact.into(), &event)?;
    }
    let entry = audit_entry(caller, Action::JoinRequestCreated, &request, caller.name.as_deref());
    audit::record(tx, entry)?;
    Ok(request)
}

/// `person_name`: the name of the person who wants to join.
pub fn audit_entry<P>(caller: &Caller<P>, action: Action, request: &JoinRequest, person_name: Option<&str>) -> Entry {
    Entry::by(caller, action)
        .org(request.org.id)
        .user(request.person.id)
        .object("join_request", request.id.uuid(), person_name.map(ToOwned::to_owned))
}

/// A request to an organisation in which the caller has the permission `P`.
pub fn find_for_admin<P: PermissionType>(
    tx: &mut Tx<'_>,
    caller: &Principal,
    org_id: OrgId,
    id: JoinRequestId,
) -> Result<JoinRequest, Error> {
    OrgMember::<P>::require(tx, caller, org_id)?;
    reload(tx, org_id, id)
}

/// Reads a request, without a check of permissions.
pub fn reload(tx: &mut Tx<'_>, org_id: OrgId, id: JoinRequestId) -> Result<JoinRequest, Error> {
    store::find(tx, org_id, id)?.ok_or_else(Error::not_found)
}

/// For [`Caller::locking`]: the person who made a request, if it exists.
pub fn list_requester(tx: &mut Tx<'_>, org_id: OrgId, id: JoinRequestId) -> Result<Vec<UserId>, Error> {
    let request = store::find(tx, org_id, id)?;
    Ok(request.map(|request| request.person.id).into_iter().collect())
}

/// A request that the caller made, or any request to an organisation of which they are an owner or admin.
pub fn find_visible(
    tx: &mut Tx<'_>,
    caller: &Principal,
    org_id: OrgId,
    id: JoinRequestId,
) -> Result<JoinRequest, Error> {
    let own = store::find(tx, org_id, id)?.filter(|request| request.person.id == caller.user_id);
    match own {
        Some(request) => Ok(request),
        None => find_for_admin::<can::ListJoinRequests>(tx, caller, org_id, id),
    }
}

/// A request that the caller made.
///
/// # Errors
/// As [`find_visible`]; `forbidden_role` for an owner or admin who sees the request of another person.
pub fn find_own(tx: &mut Tx<'_>, caller: &Principal, org_id: OrgId, id: JoinRequestId) -> Result<JoinRequest, Error> {
    let request = find_visible(tx, caller, org_id, id)?;
    if request.person.id == caller.user_id {
        Ok(request)
    } else {
        let detail = "Only the person who made a request can withdraw it. Reject it instead.";
        Err(Error::with_detail(Code::ForbiddenRole, detail))
    }
}

/// Decides a pending request and resolves its notifications.
///
/// # Errors
/// `invalid_state` when it is no longer pending.
fn mark_decided(tx: &mut Tx<'_>, id: JoinRequestId, decision: Decision<'_>) -> Result<(), Error> {
    if !store::decide(tx, id, decision)? {
        let detail = "This request is no longer pending.";
        return Err(Error::with_detail(Code::InvalidState, detail));
    }
    notifications::resolve(tx, Subject::JoinRequest(id))
}

/// Withdraws a pending request of the caller.
pub fn withdraw<P>(tx: &mut Tx<'_>, caller: &Caller<P>, org_id: OrgId, id: JoinRequestId) -> Result<(), Error> {
    let request = find_own(tx, caller, org_id, id)?;
    mark_decided(tx, id, Decision::Withdrawn)?;
    let entry = audit_entry(caller, Action::JoinRequestWithdrawn, &request, caller.name.as_deref());
    audit::record(tx, entry)
}

/// Rejects a pending request and notifies the person.
pub fn reject<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    org_id: OrgId,
    id: JoinRequestId,
    reason: Option<&RejectionReason>,
) -> Result<JoinRequest, Error> {
    let request = find_for_admin::<can::RejectJoinRequest>(tx, caller, org_id, id)?;
    let reason = reason.map(RejectionReason::as_str);
    // The user before the request, in the order in which the deletion of an account locks them.
    let user = users::lock(tx, request.person.id)?;
    mark_decided(tx, id, Decision::RejectedBy(caller.user_id, reason))?;
    notify_decision(tx, &user, &request, Outcome::Rejected(reason))?;
    let entry = audit_entry(caller, Action::JoinRequestRejected, &request, user.name());
    audit::record(tx, entry)?;
    reload(tx, org_id, id)
}

/// Marks a pending request as approved.
///
/// # Errors
/// `invalid_state` when it is no longer pending.
pub fn mark_approved(tx: &mut Tx<'_>, id: JoinRequestId, approved_by: UserId) -> Result<(), Error> {
    mark_decided(tx, id, Decision::ApprovedBy(approved_by))
}

/// Marks the pending request of a new member as approved, if there is one.
pub fn approve_pending(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    user_id: UserId,
    approved_by: Option<UserId>,
) -> Result<(), Error> {
    match store::approve_pending(tx, org_id, user_id, approved_by)? {
        Some(id) => notifications::resolve(tx, Subject::JoinRequest(id)),
        None => Ok(()),
    }
}

/// The decision that the user is notified of.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    Approved,
    /// With the reason, if one was given.
    Rejected(Option<&'a str>),
}

/// Notifies the user of the decision about their request.
pub fn notify_decision(tx: &mut Tx<'_>, user: &User, request: &JoinRequest, outcome: Outcome<'_>) -> Result<(), Error> {
    let (approved, reason) = match outcome {
        Outcome::Approved => (true, None),
        Outcome::Rejected(reason) => (false, reason.map(ToOwned::to_owned)),
    };
    let event = Event::JoinRequestDecided {
        org_id: request.org.id,
        org_name: request.org.name.clone(),
        approved,
        reason,
    };
    notifications::notify(tx, user.into(), &event)
}
