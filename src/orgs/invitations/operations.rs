//! What can be done with invitations.

use crate::db::Tx;
use serde_json::json;

use super::model::{Invitation, InvitationState};
use super::store::{self, Decision, NewInvitation, Side};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OrgRole};
use crate::error::{Code, Error};
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
use crate::values::{Cursors, Page, PageQuery};

/// Which invitations are wanted, and which page of them.
pub struct Listing {
    pub state: Option<InvitationState>,
    pub page: PageQuery,
}

/// The invitations of an organisation, or for an address; the newest first.
pub fn list(tx: &mut Tx<'_>, state: &State, side: Side<'_>, listing: &Listing) -> Result<Page<Invitation>, Error> {
    let Listing { state: wanted, page } = listing;
    let name = match side {
        Side::Org(org_id) => json!(["org", org_id, wanted]),
        Side::Email(email) => json!(["email", email, wanted]),
    };
    let cursors = Cursors::new(&state.secret, format!("invitations {name}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list(tx, side, *wanted, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |row| (row.created_at, row.id))
}

/// The person who calls, with the address their invitations are for.
pub fn invited<P>(tx: &mut Tx<'_>, caller: &Caller<P>) -> Result<User, Error> {
    let user = users::find(tx, caller.user_id)?;
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
pub fn find_own<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: InvitationId) -> Result<(User, Invitation), Error> {
    let user = invited(tx, caller)?;
    let own = store::find(tx, Side::Email(&user.email), id)?.ok_or_else(Error::not_found)?;
    Ok((user, own))
}

/// An invitation into an organisation, of somebody who may do `act` there.
pub fn find<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    (org_id, id): (OrgId, InvitationId),
    act: OrgPermission,
) -> Result<(OrgCaller, Invitation), Error> {
    let acting = OrgCaller::require(tx, caller, org_id, act)?;
    let found = store::find(tx, Side::Org(org_id), id)?.ok_or_else(Error::not_found)?;
    if act == OrgPermission::ResendInvitation {
        acting.permit_about(found.role())?;
    }
    Ok((acting, found))
}

fn about<P>(caller: &Caller<P>, action: Action, invitation: &Invitation) -> Entry {
    Entry::by(caller, action)
        .org(invitation.org_id())
        .object("invitation", invitation.id.uuid(), invitation.email.clone())
        .detail("role", invitation.role().as_str())
}

/// Invites an address. Whether it has an account changes nothing that the caller can see.
pub fn create<P>(
    tx: &mut Tx<'_>,
    state: &State,
    caller: &Caller<P>,
    org_id: OrgId,
    (email, role): (&EmailAddress, OrgRole),
) -> Result<Invitation, Error> {
    let now = caller.now();
    let acting = OrgCaller::require_locked(tx, caller, org_id, OrgPermission::CreateInvitation)?;
    acting.permit_about(role)?;
    if store::is_member(tx, org_id, email.as_str())? {
        return Err(Error::new(Code::AlreadyMember));
    }
    store::close_expired(tx, org_id, email.as_str())?;
    let inviter = users::find(tx, caller.user_id)?;
    let account = find_account(tx, email)?;
    let new = NewInvitation {
        org_id,
        email: email.as_str(),
        role,
        invited_by: caller.user_id,
        locale: account.as_ref().map_or(inviter.locale(), User::locale),
        expires_at: now + Link::Invitation.lifetime(),
    };
    let id = store::insert(tx, &new)?.ok_or_else(|| Error::new(Code::AlreadyInvited))?;
    let invitation = store::find(tx, Side::Org(org_id), id)?.ok_or_else(Error::not_found)?;
    mail(tx, state, &invitation)?;
    if let Some(account) = account {
        let notice = Notice::OrgInvitation {
            org_id,
            org_name: acting.org_name().to_owned(),
            role,
            invited_by: inviter_name(&invitation),
        };
        notifications::notify(tx, account.id, &notice, Some(Subject::Invitation(id)))?;
    }
    audit::record(tx, about(caller, Action::InvitationCreated, &invitation))?;
    Ok(invitation)
}

/// The account of an address, held until the end of the transaction: it may be about to be deleted.
fn find_account(tx: &mut Tx<'_>, email: &EmailAddress) -> Result<Option<User>, Error> {
    let found = users::find_by_login(tx, email.as_str())?;
    let Some(found) = found.filter(|user| user.email_verified_at.is_some()) else {
        return Ok(None);
    };
    match users::lock(tx, found.id) {
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
fn mail(tx: &mut Tx<'_>, state: &State, invitation: &Invitation) -> Result<(), Error> {
    let (purpose, target) = (Link::Invitation.purpose(), Target::Invitation(invitation.id));
    one_time_tokens::void(tx, purpose, target)?;
    let lifetime = Link::Invitation.lifetime();
    let token_id = one_time_tokens::issue(tx, &state.secret, purpose, target, lifetime)?;
    let account = users::find_by_login(tx, &invitation.email)?;
    let wanted = match account {
        Some(account) => notifications::wants_mail(tx, account.id, NotificationType::OrgInvitation)?,
        None => true,
    };
    if wanted && state.mail_limit.allows(tx, &invitation.email)? {
        let message = Message::Invitation {
            token_id,
            org_name: invitation.org.1.clone(),
            inviter_name: inviter_name(invitation),
            role: invitation.role().as_str().to_owned(),
        };
        let locale = Locale::stored(&invitation.locale);
        outbox::enqueue(tx, &invitation.email, locale, &message)?;
    }
    Ok(())
}

/// Decides about an invitation, once, and closes what belongs to it; false when it is no longer pending. The row decides
/// first and its links follow, in this order everywhere, so that no two wait for each other.
fn settle(tx: &mut Tx<'_>, id: InvitationId, decision: Decision, mailed: Option<&Token>) -> Result<bool, Error> {
    if !store::decide(tx, id, decision)? {
        return Ok(false);
    }
    let purpose = Link::Invitation.purpose();
    if let Some(token) = mailed {
        // It may have been replaced since it was looked at.
        one_time_tokens::consume(tx, purpose, token)?;
    }
    one_time_tokens::void(tx, purpose, Target::Invitation(id))?;
    notifications::resolve(tx, Subject::Invitation(id))?;
    Ok(true)
}

fn no_longer_pending() -> Error {
    Error::with_detail(Code::InvalidState, "This invitation is no longer pending.")
}

/// Mails an invitation again, good for another seven days.
pub fn resend<P>(
    tx: &mut Tx<'_>,
    state: &State,
    caller: &Caller<P>,
    ids: (OrgId, InvitationId),
) -> Result<Invitation, Error> {
    let now = caller.now();
    orgs::lock(tx, ids.0)?;
    let (_, invitation) = find(tx, caller, ids, OrgPermission::ResendInvitation)?;
    let until = now + Link::Invitation.lifetime();
    if !store::decide(tx, invitation.id, Decision::Prolonged(until))? {
        return Err(no_longer_pending());
    }
    mail(tx, state, &invitation)?;
    audit::record(tx, about(caller, Action::InvitationResent, &invitation))?;
    store::find(tx, Side::Org(ids.0), ids.1)?.ok_or_else(Error::not_found)
}

/// Takes an invitation back.
pub fn revoke<P>(tx: &mut Tx<'_>, caller: &Caller<P>, ids: (OrgId, InvitationId)) -> Result<(), Error> {
    let (_, invitation) = find(tx, caller, ids, OrgPermission::RevokeInvitation)?;
    if !settle(tx, invitation.id, Decision::Revoked, None)? {
        return Err(no_longer_pending());
    }
    audit::record(tx, about(caller, Action::InvitationRevoked, &invitation))
}

/// The caller does not want to.
pub fn decline<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: InvitationId) -> Result<Invitation, Error> {
    let (user, invitation) = find_own(tx, caller, id)?;
    if !settle(tx, id, Decision::Declined, None)? {
        return Err(no_longer_pending());
    }
    audit::record(tx, about(caller, Action::InvitationDeclined, &invitation))?;
    store::find(tx, Side::Email(&user.email), id)?.ok_or_else(Error::not_found)
}

/// The caller, whose address it is for, comes in.
pub fn accept<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: InvitationId) -> Result<Invitation, Error> {
    let (_, invitation) = find_own(tx, caller, id)?;
    orgs::lock(tx, invitation.org_id())?;
    come_in(tx, caller, &invitation, None)
}

/// The caller, who reads the mailbox it was sent to, comes in.
pub fn accept_mailed<P>(tx: &mut Tx<'_>, caller: &Caller<P>, token: &Token) -> Result<Invitation, Error> {
    let gone = || Error::new(Code::LinkExpiredOrUsed);
    let purpose = Link::Invitation.purpose();
    let Some(Target::Invitation(id)) = one_time_tokens::peek(tx, purpose, token)? else {
        return Err(gone());
    };
    let invitation = store::find_mailed(tx, id)?.ok_or_else(gone)?;
    orgs::lock(tx, invitation.org_id()).map_err(|_| gone())?;
    come_in(tx, caller, &invitation, Some(token))
}

/// With the organisation locked: accepts, if the invitation is pending and its inviter could still make it.
fn come_in<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    invitation: &Invitation,
    mailed: Option<&Token>,
) -> Result<Invitation, Error> {
    let refusal = || mailed.map_or_else(no_longer_pending, |_| Error::new(Code::LinkExpiredOrUsed));
    let org_id = invitation.org_id();
    if !may_invite(tx, org_id, invitation.invited_by(), invitation.role())? {
        return Err(refusal());
    }
    let user = users::lock(tx, caller.user_id)?;
    if !settle(tx, invitation.id, Decision::AcceptedBy(user.id), mailed)? {
        return Err(refusal());
    }
    admit(tx, org_id, &user, (invitation.role(), invitation.invited_by()))?;
    audit::record(tx, about(caller, Action::InvitationAccepted, invitation))?;
    store::find(tx, Side::Org(org_id), invitation.id)?.ok_or_else(Error::not_found)
}
