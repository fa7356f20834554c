//! What can be done with requests to join.

use diesel::pg::PgConnection;
use serde_json::json;

use super::model::{JoinRequest, JoinRequestState, RejectionReason, RequestMessage};
use super::store::{self, Decision, Side};
use crate::audit::{self, Entry};
use crate::auth::{Caller, OrgRole};
use crate::error::{Code, Error};
use crate::http::{Cursors, Page, PageQuery};
use crate::notifications::email::{Message, outbox};
use crate::notifications::{self, Notice, Subject, tell};
use crate::orgs::members::{self, admit};
use crate::orgs::membership;
use crate::orgs::{self, JoinPolicy, Org, OrgCaller, OrgPermission, Slug};
use crate::secret::ServerSecret;
use crate::state::State;
use crate::users::{self, User};
use crate::values::ids::{JoinRequestId, OrgId};

/// Which requests are wanted, and which page of them.
pub struct Listing {
    pub state: Option<JoinRequestState>,
    pub page: PageQuery,
}

/// The requests to an organisation, or of a person; the newest first.
pub fn list(
    connection: &mut PgConnection,
    secret: &ServerSecret,
    side: Side,
    listing: &Listing,
) -> Result<Page<JoinRequest>, Error> {
    let Listing { state, page } = listing;
    let name = match side {
        Side::Org(org_id) => json!(["org", org_id, state]),
        Side::User(user_id) => json!(["user", user_id, state]),
    };
    let cursors = Cursors::new(secret, format!("join requests {name}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list(connection, side, *state, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |row| (row.created_at, row.id))
}

/// An organisation that takes requests, by its slug.
///
/// # Errors
/// `not_found` for any other.
pub fn look_up(connection: &mut PgConnection, slug: String) -> Result<Org, Error> {
    let slug = Slug::try_from(slug).map_err(|_| Error::not_found())?;
    orgs::find_by_slug(connection, &slug)?
        .filter(|org| org.join_policy() == JoinPolicy::Request)
        .ok_or_else(Error::not_found)
}

/// Whether there is anything to ask: the organisation takes requests, or the caller is there and will be told so.
///
/// # Errors
/// `not_found`.
pub fn require_open<P>(connection: &mut PgConnection, caller: &Caller<P>, org_id: OrgId) -> Result<Org, Error> {
    let org = orgs::find_org(connection, org_id)?;
    if org.join_policy() != JoinPolicy::Request {
        membership::require(connection, org_id, caller.user_id)?;
    }
    Ok(org)
}

/// Asks to join. Everybody who runs the organisation is told.
pub fn create<P>(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller<P>,
    org_id: OrgId,
    message: Option<&RequestMessage>,
) -> Result<JoinRequest, Error> {
    let now = caller.now();
    // Locked, so that nobody is let in by another door at the same time.
    orgs::lock(connection, org_id)?;
    let org = require_open(connection, caller, org_id)?;
    if membership::find(connection, org_id, caller.user_id)?.is_some() {
        return Err(Error::new(Code::AlreadyMember));
    }
    let message = message.map(RequestMessage::as_str);
    let id = store::insert(connection, now, org_id, caller.user_id, message)?
        .ok_or_else(|| Error::new(Code::AlreadyRequested))?;
    let request = store::find(connection, org_id, id)?.ok_or_else(Error::not_found)?;
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
    for (user_id, email, locale) in members::administrators(connection, org_id)? {
        notifications::notify(connection, now, user_id, &notice, Some(Subject::JoinRequest(id)))?;
        // Anybody can ask, and ask again: that must not fill a mailbox.
        if notifications::wants_mail(connection, user_id, notice.kind())?
            && state.mail_limit.allows(connection, now, &email)?
        {
            outbox::enqueue(connection, now, &email, locale, &mail)?;
        }
    }
    audit::record(
        connection,
        about(caller, "join_request.created", &request, &caller.name),
    )?;
    Ok(request)
}

fn about<P>(caller: &Caller<P>, action: &'static str, request: &JoinRequest, name: &str) -> Entry {
    Entry::by(caller, action)
        .org(request.org.0)
        .user(request.person.id)
        .object("join_request", request.id.uuid(), name.to_owned())
}

/// A request to an organisation, of somebody who may do `act` there.
pub fn find<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    (org_id, id): (OrgId, JoinRequestId),
    act: OrgPermission,
) -> Result<(OrgCaller, JoinRequest), Error> {
    let acting = OrgCaller::require(connection, caller, org_id, act)?;
    let found = store::find(connection, org_id, id)?.ok_or_else(Error::not_found)?;
    Ok((acting, found))
}

/// A request that is the caller's own, or one to an organisation they run.
pub fn read<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    ids: (OrgId, JoinRequestId),
) -> Result<JoinRequest, Error> {
    let own = store::find(connection, ids.0, ids.1)?.filter(|found| found.person.id == caller.user_id);
    match own {
        Some(own) => Ok(own),
        None => find(connection, caller, ids, OrgPermission::ListJoinRequests).map(|(_, found)| found),
    }
}

/// The caller's own request.
///
/// # Errors
/// As for any request; `forbidden_role` for one of another's that the caller may see.
pub fn find_own<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    ids: (OrgId, JoinRequestId),
) -> Result<JoinRequest, Error> {
    let found = read(connection, caller, ids)?;
    if found.person.id == caller.user_id {
        Ok(found)
    } else {
        Err(Error::with_detail(
            Code::ForbiddenRole,
            "Only who asked can withdraw a request; reject it instead.",
        ))
    }
}

fn decide<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    id: JoinRequestId,
    decision: Decision<'_>,
) -> Result<(), Error> {
    if !store::decide(connection, caller.now(), id, decision)? {
        let detail = "This request is no longer pending.";
        return Err(Error::with_detail(Code::InvalidState, detail));
    }
    notifications::resolve(connection, caller.now(), Subject::JoinRequest(id))
}

/// Takes the caller's own request back.
pub fn withdraw<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    ids: (OrgId, JoinRequestId),
) -> Result<(), Error> {
    let request = find_own(connection, caller, ids)?;
    decide(connection, caller, request.id, Decision::Withdrawn)?;
    audit::record(
        connection,
        about(caller, "join_request.withdrawn", &request, &caller.name),
    )
}

/// Lets somebody in; a pending invitation of theirs is settled with it.
pub fn approve<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    ids: (OrgId, JoinRequestId),
    role: OrgRole,
) -> Result<JoinRequest, Error> {
    let now = caller.now();
    orgs::lock(connection, ids.0)?;
    let (acting, request) = find(connection, caller, ids, OrgPermission::ApproveJoinRequest)?;
    acting.permit_about(role)?;
    let user = users::lock(connection, request.person.id)?;
    decide(connection, caller, request.id, Decision::ApprovedBy(caller.user_id))?;
    admit(connection, now, ids.0, &user, (role, Some(caller.user_id)))?;
    tell_decision(connection, caller, &user, &request, (true, None))?;
    let entry = about(caller, "join_request.approved", &request, user.name());
    audit::record(connection, entry.detail("role", role.as_str()))?;
    store::find(connection, ids.0, ids.1)?.ok_or_else(Error::not_found)
}

/// Does not let somebody in.
pub fn reject<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    ids: (OrgId, JoinRequestId),
    reason: Option<&RejectionReason>,
) -> Result<JoinRequest, Error> {
    let (_, request) = find(connection, caller, ids, OrgPermission::RejectJoinRequest)?;
    let reason = reason.map(RejectionReason::as_str);
    // Held before the request is: who deletes an account takes them in this order.
    let user = users::lock(connection, request.person.id)?;
    decide(
        connection,
        caller,
        request.id,
        Decision::RejectedBy(caller.user_id, reason),
    )?;
    tell_decision(connection, caller, &user, &request, (false, reason))?;
    audit::record(
        connection,
        about(caller, "join_request.rejected", &request, user.name()),
    )?;
    store::find(connection, ids.0, ids.1)?.ok_or_else(Error::not_found)
}

fn tell_decision<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
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
    tell(connection, caller.now(), user.into(), (&notice, None), &message)
}
