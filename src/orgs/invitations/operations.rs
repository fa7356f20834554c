//! What can be done with invitations.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use serde_json::json;

use super::model::{Invitation, InvitationState};
use super::store::{self, Decision, NewInvitation, Side};
use crate::audit::{self, Entry};
use crate::auth::{Caller, OrgRole};
use crate::error::{Code, Error};
use crate::http::{Cursors, Page, PageQuery};
use crate::notifications::email::{Link, Message, outbox};
use crate::notifications::{self, Notice, NotificationType, Subject};
use crate::one_time_tokens::{self, Target};
use crate::orgs::members::{admit, may_invite};
use crate::orgs::{self, OrgCaller, OrgPermission};
use crate::secret::Token;
use crate::state::State;
use crate::users::{self, User};
use crate::values::EmailAddress;
use crate::values::ids::{InvitationId, OrgId};
use crate::values::locale::Locale;

/// Which invitations are wanted, and which page of them.
pub struct Listing {
    pub state: Option<InvitationState>,
    pub page: PageQuery,
}

/// The invitations of an organisation, or for an address; the newest first.
pub fn list(
    connection: &mut PgConnection,
    state: &State,
    now: DateTime<Utc>,
    side: Side<'_>,
    listing: &Listing,
) -> Result<Page<Invitation>, Error> {
    let Listing { state: wanted, page } = listing;
    let name = match side {
        Side::Org(org_id) => json!(["org", org_id, wanted]),
        Side::Email(email) => json!(["email", email, wanted]),
    };
    let cursors = Cursors::new(&state.secret, format!("invitations {name}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list(connection, side, now, *wanted, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |row| (row.created_at, row.id))
}

/// The person who calls, with the address their invitations are for.
pub fn invited<P>(connection: &mut PgConnection, caller: &Caller<P>) -> Result<User, Error> {
    let user = users::find(connection, caller.user_id)?;
    if user.email_verified_at.is_some() {
        Ok(user)
    } else {
        Err(Error::not_found())
    }
}

/// An invitation of the caller's.
///
/// # Errors
/// `not_found` for one that is for another address.
pub fn find_own<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    id: InvitationId,
) -> Result<(User, Invitation), Error> {
    let user = invited(connection, caller)?;
    let own = store::find(connection, Side::Email(&user.email), id)?.ok_or_else(Error::not_found)?;
    Ok((user, own))
}

/// An invitation into an organisation, of somebody who may do `act` there.
pub fn find<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    (org_id, id): (OrgId, InvitationId),
    act: OrgPermission,
) -> Result<(OrgCaller, Invitation), Error> {
    let acting = OrgCaller::require(connection, caller, org_id, act)?;
    let found = store::find(connection, Side::Org(org_id), id)?.ok_or_else(Error::not_found)?;
    if act == OrgPermission::ResendInvitation {
        acting.permit_about(found.role())?;
    }
    Ok((acting, found))
}

fn about<P>(caller: &Caller<P>, action: &'static str, invitation: &Invitation) -> Entry {
    Entry::by(caller, action)
        .org(invitation.org_id())
        .object("invitation", invitation.id.uuid(), invitation.email.clone())
        .detail("role", invitation.role().as_str())
}

/// Invites an address. Whether it has an account changes nothing that the caller can see.
pub fn create<P>(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller<P>,
    org_id: OrgId,
    (email, role): (&EmailAddress, OrgRole),
) -> Result<Invitation, Error> {
    let now = caller.now();
    let acting = OrgCaller::require_locked(connection, caller, org_id, OrgPermission::CreateInvitation)?;
    acting.permit_about(role)?;
    if store::is_member(connection, org_id, email.as_str())? {
        return Err(Error::new(Code::AlreadyMember));
    }
    store::close_expired(connection, now, org_id, email.as_str())?;
    let inviter = users::find(connection, caller.user_id)?;
    let account = find_account(connection, email)?;
    let new = NewInvitation {
        org_id,
        email: email.as_str(),
        role,
        invited_by: caller.user_id,
        locale: account.as_ref().map_or(inviter.locale(), User::locale),
        expires_at: now + Link::Invitation.lifetime(),
    };
    let id = store::insert(connection, now, &new)?.ok_or_else(|| Error::new(Code::AlreadyInvited))?;
    let invitation = store::find(connection, Side::Org(org_id), id)?.ok_or_else(Error::not_found)?;
    mail(connection, state, now, &invitation)?;
    if let Some(account) = account {
        let notice = Notice::OrgInvitation {
            org_id,
            org_name: acting.org_name().to_owned(),
            role,
            invited_by: inviter_name(&invitation),
        };
        notifications::notify(connection, now, account.id, &notice, Some(Subject::Invitation(id)))?;
    }
    audit::record(connection, about(caller, "invitation.created", &invitation))?;
    Ok(invitation)
}

/// The account of an address, held until the end of the transaction: it may be about to be deleted.
fn find_account(connection: &mut PgConnection, email: &EmailAddress) -> Result<Option<User>, Error> {
    let found = users::find_by_login(connection, email.as_str())?;
    let Some(found) = found.filter(|user| user.email_verified_at.is_some()) else {
        return Ok(None);
    };
    match users::lock(connection, found.id) {
        Ok(user) => Ok(Some(user)),
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn inviter_name(invitation: &Invitation) -> Option<String> {
    let inviter = invitation.inviter.as_ref()?;
    inviter.called().map(ToOwned::to_owned)
}

/// Mails a new link; the ones before die.
fn mail(
    connection: &mut PgConnection,
    state: &State,
    now: DateTime<Utc>,
    invitation: &Invitation,
) -> Result<(), Error> {
    let (purpose, target) = (Link::Invitation.purpose(), Target::Invitation(invitation.id));
    one_time_tokens::void(connection, now, purpose, target)?;
    let lifetime = Link::Invitation.lifetime();
    let token_id = one_time_tokens::issue(connection, &state.secret, now, purpose, target, lifetime)?;
    let account = users::find_by_login(connection, &invitation.email)?;
    let wanted = match account {
        Some(account) => notifications::wants_mail(connection, account.id, NotificationType::OrgInvitation)?,
        None => true,
    };
    if wanted && state.mail_limit.allows(connection, now, &invitation.email)? {
        let message = Message::Invitation {
            token_id,
            org_name: invitation.org.1.clone(),
            inviter_name: inviter_name(invitation),
            role: invitation.role().as_str().to_owned(),
        };
        let locale = Locale::stored(&invitation.locale);
        outbox::enqueue(connection, now, &invitation.email, locale, &message)?;
    }
    Ok(())
}

/// Decides about an invitation, once, and closes what belongs to it; false when it is no longer pending. The row decides
/// first and its links follow, in this order everywhere, so that no two wait for each other.
fn settle(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    id: InvitationId,
    decision: Decision,
    mailed: Option<&Token>,
) -> Result<bool, Error> {
    if !store::decide(connection, now, id, decision)? {
        return Ok(false);
    }
    let purpose = Link::Invitation.purpose();
    if let Some(token) = mailed {
        // It may have been replaced since it was looked at.
        one_time_tokens::consume(connection, now, purpose, token)?;
    }
    one_time_tokens::void(connection, now, purpose, Target::Invitation(id))?;
    notifications::resolve(connection, now, Subject::Invitation(id))?;
    Ok(true)
}

fn no_longer_pending() -> Error {
    Error::with_detail(Code::InvalidState, "This invitation is no longer pending.")
}

/// Mails an invitation again, good for another seven days.
pub fn resend<P>(
    connection: &mut PgConnection,
    state: &State,
    caller: &Caller<P>,
    ids: (OrgId, InvitationId),
) -> Result<Invitation, Error> {
    let now = caller.now();
    orgs::lock(connection, ids.0)?;
    let (_, invitation) = find(connection, caller, ids, OrgPermission::ResendInvitation)?;
    let until = now + Link::Invitation.lifetime();
    if !store::decide(connection, now, invitation.id, Decision::Prolonged(until))? {
        return Err(no_longer_pending());
    }
    mail(connection, state, now, &invitation)?;
    audit::record(connection, about(caller, "invitation.resent", &invitation))?;
    store::find(connection, Side::Org(ids.0), ids.1)?.ok_or_else(Error::not_found)
}

/// Takes an invitation back.
pub fn revoke<P>(connection: &mut PgConnection, caller: &Caller<P>, ids: (OrgId, InvitationId)) -> Result<(), Error> {
    let (_, invitation) = find(connection, caller, ids, OrgPermission::RevokeInvitation)?;
    if !settle(connection, caller.now(), invitation.id, Decision::Revoked, None)? {
        return Err(no_longer_pending());
    }
    audit::record(connection, about(caller, "invitation.revoked", &invitation))
}

/// The caller does not want to.
pub fn decline<P>(connection: &mut PgConnection, caller: &Caller<P>, id: InvitationId) -> Result<Invitation, Error> {
    let (user, invitation) = find_own(connection, caller, id)?;
    if !settle(connection, caller.now(), id, Decision::Declined, None)? {
        return Err(no_longer_pending());
    }
    audit::record(connection, about(caller, "invitation.declined", &invitation))?;
    store::find(connection, Side::Email(&user.email), id)?.ok_or_else(Error::not_found)
}

/// The caller, whose address it is for, comes in.
pub fn accept<P>(connection: &mut PgConnection, caller: &Caller<P>, id: InvitationId) -> Result<Invitation, Error> {
    let (_, invitation) = find_own(connection, caller, id)?;
    orgs::lock(connection, invitation.org_id())?;
    come_in(connection, caller, &invitation, None)
}

/// The caller, who reads the mailbox it was sent to, comes in.
pub fn accept_mailed<P>(connection: &mut PgConnection, caller: &Caller<P>, token: &Token) -> Result<Invitation, Error> {
    let now = caller.now();
    let gone = || Error::new(Code::LinkExpiredOrUsed);
    let purpose = Link::Invitation.purpose();
    let Some(Target::Invitation(id)) = one_time_tokens::peek(connection, now, purpose, token)? else {
        return Err(gone());
    };
    let invitation = store::find_mailed(connection, id)?.ok_or_else(gone)?;
    orgs::lock(connection, invitation.org_id()).map_err(|_| gone())?;
    come_in(connection, caller, &invitation, Some(token))
}

/// With the organisation locked: accepts, if the invitation is pending and its inviter could still make it.
fn come_in<P>(
    connection: &mut PgConnection,
    caller: &Caller<P>,
    invitation: &Invitation,
    mailed: Option<&Token>,
) -> Result<Invitation, Error> {
    let refusal = || mailed.map_or_else(no_longer_pending, |_| Error::new(Code::LinkExpiredOrUsed));
    let (now, org_id) = (caller.now(), invitation.org_id());
    if !may_invite(connection, org_id, invitation.invited_by(), invitation.role())? {
        return Err(refusal());
    }
    let user = users::lock(connection, caller.user_id)?;
    if !settle(connection, now, invitation.id, Decision::AcceptedBy(user.id), mailed)? {
        return Err(refusal());
    }
    admit(
        connection,
        now,
        org_id,
        &user,
        (invitation.role(), invitation.invited_by()),
    )?;
    audit::record(connection, about(caller, "invitation.accepted", invitation))?;
    store::find(connection, Side::Org(org_id), invitation.id)?.ok_or_else(Error::not_found)
}
