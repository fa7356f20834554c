//! What can be done with requests to join.

use crate::db::Tx;
use serde_json::json;

use super::model::{JoinRequest, JoinRequestState, RejectionReason, RequestMessage};
use super::store::{self, Decision, Side};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OrgRole};
use crate::error::{Code, Error};
use crate::notifications::email::{Message, outbox};
use crate::notifications::{self, Notice, Subject, tell};
use crate::orgs::members::{self, admit};
use crate::orgs::membership;
use crate::orgs::{self, JoinPolicy, Org, OrgCaller, OrgPermission, Slug};
use crate::secret::ServerSecret;
use crate::state::State;
use crate::users::{self, User};
use crate::values::ids::{JoinRequestId, OrgId};
use crate::values::{Cursors, Page, PageQuery};

/// Which requests are wanted, and which page of them.
pub struct Listing {
    pub state: Option<JoinRequestState>,
    pub page: PageQuery,
}

/// The requests to an organisation, or of a person; the newest first.
pub fn list(tx: &mut Tx<'_>, secret: &ServerSecret, side: Side, listing: &Listing) -> Result<Page<JoinRequest>, Error> {
    let Listing { state, page } = listing;
    let name = match side {
        Side::Org(org_id) => json!(["org", org_id, state]),
        Side::User(user_id) => json!(["user", user_id, state]),
    };
    let cursors = Cursors::new(secret, format!("join requests {name}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list(tx, side, *state, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |row| (row.created_at, row.id))
}

/// An organisation that takes requests, by its slug.
///
/// # Errors
/// `not_found` for any other.
pub fn look_up(tx: &mut Tx<'_>, slug: String) -> Result<Org, Error> {
    let slug = Slug::try_from(slug).map_err(|_| Error::not_found())?;
    orgs::find_by_slug(tx, &slug)?
        .filter(|org| org.join_policy() == JoinPolicy::Request)
        .ok_or_else(Error::not_found)
}

/// Whether there is anything to ask: the organisation takes requests, or the caller is there and will be told so.
///
/// # Errors
/// `not_found`.
pub fn require_open<P>(tx: &mut Tx<'_>, caller: &Caller<P>, org_id: OrgId) -> Result<Org, Error> {
    let org = orgs::find_org(tx, org_id)?;
    if org.join_policy() != JoinPolicy::Request {
        membership::require(tx, org_id, caller.user_id)?;
    }
    Ok(org)
}

/// Asks to join. Everybody who runs the organisation is told.
pub fn create<P>(
    tx: &mut Tx<'_>,
    state: &State,
    caller: &Caller<P>,
    org_id: OrgId,
    message: Option<&RequestMessage>,
) -> Result<JoinRequest, Error> {
    // Locked, so that nobody is let in by another door at the same time.
    orgs::lock(tx, org_id)?;
    let org = require_open(tx, caller, org_id)?;
    if membership::find(tx, org_id, caller.user_id)?.is_some() {
        return Err(Error::new(Code::AlreadyMember));
    }
    let message = message.map(RequestMessage::as_str);
    let id = store::insert(tx, org_id, caller.user_id, message)?.ok_or_else(|| Error::new(Code::AlreadyRequested))?;
    let request = store::find(tx, org_id, id)?.ok_or_else(Error::not_found)?;
    let person = request.person.called().unwrap_or(&caller.name).to_owned();
    let notice = Notice::JoinRequest {
        org_id,
        org_name: org.name.clone(),
        person: person.clone(),
        message: message.map(ToOwned::to_owned),
    };
    let mail = Message::JoinRequest {
        org_name: org.name,
        person,
    };
    for (user_id, email, locale) in members::administrators(tx, org_id)? {
        notifications::notify(tx, user_id, &notice, Some(Subject::JoinRequest(id)))?;
        // Anybody can ask, and ask again: that must not fill a mailbox.
        if notifications::wants_mail(tx, user_id, notice.kind())? && state.mail_limit.allows(tx, &email)? {
            outbox::enqueue(tx, &email, locale, &mail)?;
        }
    }
    audit::record(tx, about(caller, Action::JoinRequestCreated, &request, &caller.name))?;
    Ok(request)
}

fn about<P>(caller: &Caller<P>, action: Action, request: &JoinRequest, name: &str) -> Entry {
    Entry::by(caller, action)
        .org(request.org.0)
        .user(request.person.id)
        .object("join_request", request.id.uuid(), name.to_owned())
}

/// A request to an organisation, of somebody who may do `act` there.
pub fn find<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    (org_id, id): (OrgId, JoinRequestId),
    act: OrgPermission,
) -> Result<(OrgCaller, JoinRequest), Error> {
    let acting = OrgCaller::require(tx, caller, org_id, act)?;
    let found = store::find(tx, org_id, id)?.ok_or_else(Error::not_found)?;
    Ok((acting, found))
}

/// A request that is the caller's own, or one to an organisation they run.
pub fn read<P>(tx: &mut Tx<'_>, caller: &Caller<P>, ids: (OrgId, JoinRequestId)) -> Result<JoinRequest, Error> {
    let own = store::find(tx, ids.0, ids.1)?.filter(|found| found.person.id == caller.user_id);
    match own {
        Some(own) => Ok(own),
        None => find(tx, caller, ids, OrgPermission::ListJoinRequests).map(|(_, found)| found),
    }
}

/// The caller's own request.
///
/// # Errors
/// As for any request; `forbidden_role` for one of another's that the caller may see.
pub fn find_own<P>(tx: &mut Tx<'_>, caller: &Caller<P>, ids: (OrgId, JoinRequestId)) -> Result<JoinRequest, Error> {
    let found = read(tx, caller, ids)?;
    if found.person.id == caller.user_id {
        Ok(found)
    } else {
        Err(Error::with_detail(
            Code::ForbiddenRole,
            "Only who asked can withdraw a request; reject it instead.",
        ))
    }
}

fn decide<P>(tx: &mut Tx<'_>, _caller: &Caller<P>, id: JoinRequestId, decision: Decision<'_>) -> Result<(), Error> {
    if !store::decide(tx, id, decision)? {
        let detail = "This request is no longer pending.";
        return Err(Error::with_detail(Code::InvalidState, detail));
    }
    notifications::resolve(tx, Subject::JoinRequest(id))
}

/// Takes the caller's own request back.
pub fn withdraw<P>(tx: &mut Tx<'_>, caller: &Caller<P>, ids: (OrgId, JoinRequestId)) -> Result<(), Error> {
    let request = find_own(tx, caller, ids)?;
    decide(tx, caller, request.id, Decision::Withdrawn)?;
    audit::record(tx, about(caller, Action::JoinRequestWithdrawn, &request, &caller.name))
}

/// Lets somebody in; a pending invitation of theirs is settled with it.
pub fn approve<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    ids: (OrgId, JoinRequestId),
    role: OrgRole,
) -> Result<JoinRequest, Error> {
    orgs::lock(tx, ids.0)?;
    let (acting, request) = find(tx, caller, ids, OrgPermission::ApproveJoinRequest)?;
    acting.permit_about(role)?;
    let user = users::lock(tx, request.person.id)?;
    decide(tx, caller, request.id, Decision::ApprovedBy(caller.user_id))?;
    admit(tx, ids.0, &user, (role, Some(caller.user_id)))?;
    tell_decision(tx, caller, &user, &request, (true, None))?;
    let entry = about(caller, Action::JoinRequestApproved, &request, user.name());
    audit::record(tx, entry.detail("role", role.as_str()))?;
    store::find(tx, ids.0, ids.1)?.ok_or_else(Error::not_found)
}

/// Does not let somebody in.
pub fn reject<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    ids: (OrgId, JoinRequestId),
    reason: Option<&RejectionReason>,
) -> Result<JoinRequest, Error> {
    let (_, request) = find(tx, caller, ids, OrgPermission::RejectJoinRequest)?;
    let reason = reason.map(RejectionReason::as_str);
    // Held before the request is: who deletes an account takes them in this order.
    let user = users::lock(tx, request.person.id)?;
    decide(tx, caller, request.id, Decision::RejectedBy(caller.user_id, reason))?;
    tell_decision(tx, caller, &user, &request, (false, reason))?;
    audit::record(tx, about(caller, Action::JoinRequestRejected, &request, user.name()))?;
    store::find(tx, ids.0, ids.1)?.ok_or_else(Error::not_found)
}

fn tell_decision<P>(
    tx: &mut Tx<'_>,
    _caller: &Caller<P>,
    user: &User,
    request: &JoinRequest,
    (approved, reason): (bool, Option<&str>),
) -> Result<(), Error> {
    let (org_id, org_name) = (request.org.0, request.org.1.clone());
    let reason = reason.map(ToOwned::to_owned);
    let notice = Notice::JoinRequestDecided {
        org_id,
        org_name: org_name.clone(),
        approved,
        reason: reason.clone(),
    };
    let message = Message::JoinRequestDecided {
        org_name,
        approved,
        reason,
    };
    tell(tx, user.into(), (&notice, None), &message)
}
