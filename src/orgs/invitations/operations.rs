//! The use cases of invitations: invite, list, resend, revoke, decline; and functions for `admission` and `members`.

use serde_json::json;

use super::model::{Invitation, InvitationFilter, InvitationState, Scope};
use super::store::{self, Decision, NewInvitation};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OrgRole, Principal};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::notifications::email::limit::{self, Requester};
use crate::notifications::email::outbox;
use crate::notifications::{self, Event, Link, Subject};
use crate::one_time_tokens::{self, Target};
use crate::orgs::{self, OrgMember, PermissionType, can, has_authority_over};
use crate::secret::Token;
use crate::state::State;
use crate::users::{self, User};
use crate::values::ids::{InvitationId, OrgId, UserId};
use crate::values::{Cursors, EmailAddress, Page, PageQuery};

/// The invitations of an organisation or for an address, newest first.
pub fn list(
    tx: &mut Tx<'_>,
    state: &State,
    scope: Scope<'_>,
    filter: &InvitationFilter,
    page: &PageQuery,
) -> Result<Page<Invitation>, Error> {
    let list_name = match scope {
        Scope::Org(org_id) => json!(["org", org_id, filter.state]),
        Scope::Email(email) => json!(["email", email, filter.state]),
    };
    let cursors = Cursors::new(&state.secret, format!("invitations {list_name}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list(tx, scope, filter.state, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |row| (row.created_at, row.id))
}

/// The caller's account, whose verified address decides which invitations are theirs.
///
/// # Errors
/// `not_found` while the address is not verified.
pub fn find_invited_user(tx: &mut Tx<'_>, caller: &Principal) -> Result<User, Error> {
    let user = users::find(tx, caller.user_id)?;
    if user.email_verified_at.is_some() {
        Ok(user)
    } else {
        Err(Error::not_found())
    }
}

/// An invitation for the caller's verified address.
///
/// # Errors
/// `not_found`.
pub fn find_for_caller(tx: &mut Tx<'_>, caller: &Principal, id: InvitationId) -> Result<Invitation, Error> {
    let user = find_invited_user(tx, caller)?;
    store::find(tx, Scope::Email(&user.email), id)?.ok_or_else(Error::not_found)
}

/// An invitation of an organisation in which the caller has the permission `P`.
pub fn find_for_admin<P: PermissionType>(
    tx: &mut Tx<'_>,
    caller: &Principal,
    org_id: OrgId,
    id: InvitationId,
) -> Result<Invitation, Error> {
    OrgMember::<P>::require(tx, caller, org_id)?;
    reload(tx, org_id, id)
}

/// An invitation that the caller may send again, because they may give its role.
pub fn find_to_resend(
    tx: &mut Tx<'_>,
    caller: &Principal,
    org_id: OrgId,
    id: InvitationId,
) -> Result<Invitation, Error> {
    let membership = OrgMember::<can::ResendInvitation>::require(tx, caller, org_id)?;
    let invitation = reload(tx, org_id, id)?;
    membership.require_authority_over(invitation.role)?;
    Ok(invitation)
}

/// Reads an invitation, without a check of permissions.
pub fn reload(tx: &mut Tx<'_>, org_id: OrgId, id: InvitationId) -> Result<Invitation, Error> {
    store::find(tx, Scope::Org(org_id), id)?.ok_or_else(Error::not_found)
}

pub fn audit_entry<P>(caller: &Caller<P>, action: Action, invitation: &Invitation) -> Entry {
    Entry::by(caller, action)
        .org(invitation.org_id())
        .object("invitation", invitation.id.uuid(), invitation.email.clone())
        .detail("role", invitation.role.as_str())
}

/// How many invitations of an organisation can be pending.
const MAX_PENDING: i64 = 500;

/// Invites an address: sends an e-mail, and notifies the account that has the verified address, if there is one. The
/// result is the same in both cases.
///
/// # Errors
/// `already_member`, `already_invited`; `limit_reached` with [`MAX_PENDING`] other invitations.
pub fn create<P>(
    tx: &mut Tx<'_>,
    state: &State,
    caller: &Caller<P>,
    org_id: OrgId,
    offer: &Offer,
) -> Result<Invitation, Error> {
    let Offer { email, role } = offer;
    let membership = OrgMember::<can::Invite>::require_locked(tx, caller, org_id)?;
    membership.require_authority_over(*role)?;
    if store::is_member(tx, org_id, email.as_str())? {
        return Err(Error::new(Code::AlreadyMember));
    }
    store::revoke_expired(tx, org_id, email.as_str())?;
    let inviter = users::find(tx, caller.user_id)?;
    let invited_user = lock_verified_user(tx, email)?;
    let new = NewInvitation {
        org_id,
        email: email.as_str(),
        role: *role,
        invited_by: caller.user_id,
        locale: invited_user.as_ref().unwrap_or(&inviter).locale,
        expires_at: tx.now + Link::Invitation.lifetime(),
    };
    let pending = store::count_pending(tx, org_id)?;
    let id = store::insert(tx, &new)?.ok_or_else(|| Error::new(Code::AlreadyInvited))?;
    if pending >= MAX_PENDING {
        let detail = format!("The organisation has {MAX_PENDING} pending invitations. Revoke one first.");
        return Err(Error::with_detail(Code::LimitReached, detail));
    }
    let invitation = reload(tx, org_id, id)?;
    let may_mail = limit::admit(tx, Requester::Member(caller.user_id, org_id), email.as_str())?;
    let event = renew_link(tx, state, &invitation)?;
    if may_mail {
        send_email(tx, &invitation, &event)?;
    }
    if let Some(user) = invited_user {
        notifications::notify_in_app(tx, user.id, &event)?;
    }
    audit::record(tx, audit_entry(caller, Action::InvitationCreated, &invitation))?;
    Ok(invitation)
}

/// For [`Caller::locking`]: locks the organisation, if it exists, and returns the account that has the address.
pub fn lock_invited(tx: &mut Tx<'_>, org_id: OrgId, email: &EmailAddress) -> Result<Vec<UserId>, Error> {
    orgs::lock_if_exists(tx, org_id)?;
    let user = users::find_by_login(tx, email.as_str())?;
    Ok(user.map(|user| user.id).into_iter().collect())
}

/// The address to invite, and the role to give it.
pub struct Offer {
    pub email: EmailAddress,
    pub role: OrgRole,
}

/// The account with this verified address, locked, because a concurrent deletion would leave a notification without a user.
fn lock_verified_user(tx: &mut Tx<'_>, email: &EmailAddress) -> Result<Option<User>, Error> {
    let user = users::find_by_login(tx, email.as_str())?;
    let Some(user) = user.filter(|user| user.email_verified_at.is_some()) else {
        return Ok(None);
    };
    match users::lock(tx, user.id) {
        Ok(user) => Ok(Some(user)),
        Err(error) if error.code() == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn inviter_name(invitation: &Invitation) -> Option<String> {
    let inviter = invitation.inviter.as_ref()?;
    inviter.display_name().map(ToOwned::to_owned)
}

/// Issues a new link, invalidates the previous links, and returns the event with the id of the new token.
fn renew_link(tx: &mut Tx<'_>, state: &State, invitation: &Invitation) -> Result<Event, Error> {
    let (purpose, target) = (Link::Invitation.purpose(), Target::Invitation(invitation.id));
    one_time_tokens::invalidate(tx, purpose, target)?;
    let lifetime = Link::Invitation.lifetime();
    let token_id = one_time_tokens::issue(tx, &state.secret, purpose, target, lifetime)?;
    Ok(Event::OrgInvitation {
        org_id: invitation.org.id,
        org_name: invitation.org.name.clone(),
        role: invitation.role,
        invited_by: inviter_name(invitation),
        invitation_id: invitation.id,
        token_id,
    })
}

/// Queues the e-mail, unless the invited user opted out of it. The invitation is listed in any case.
fn send_email(tx: &mut Tx<'_>, invitation: &Invitation, event: &Event) -> Result<(), Error> {
    let wants_email = match users::find_by_login(tx, &invitation.email)? {
        Some(user) => notifications::wants_mail(tx, user.id, event)?,
        None => true,
    };
    if wants_email {
        outbox::enqueue(tx, &invitation.email, invitation.locale, event)?;
    }
    Ok(())
}

/// Sends a pending invitation again; it expires seven days from now. If the address has received too many e-mails, the previous
/// link keeps working instead.
///
/// # Errors
/// `invalid_state`; `rate_limited`.
pub fn resend<P>(
    tx: &mut Tx<'_>,
    state: &State,
    caller: &Caller<P>,
    org_id: OrgId,
    id: InvitationId,
) -> Result<Invitation, Error> {
    orgs::lock(tx, org_id)?;
    let invitation = find_to_resend(tx, caller, org_id, id)?;
    if invitation.state(tx.now) != InvitationState::Pending {
        return Err(no_longer_pending());
    }
    if limit::admit(tx, Requester::Member(caller.user_id, org_id), &invitation.email)? {
        if !store::extend(tx, id, tx.now + Link::Invitation.lifetime())? {
            return Err(no_longer_pending());
        }
        let event = renew_link(tx, state, &invitation)?;
        send_email(tx, &invitation, &event)?;
    }
    audit::record(tx, audit_entry(caller, Action::InvitationResent, &invitation))?;
    reload(tx, org_id, id)
}

/// Revokes a pending invitation.
pub fn revoke<P>(tx: &mut Tx<'_>, caller: &Caller<P>, org_id: OrgId, id: InvitationId) -> Result<(), Error> {
    let invitation = find_for_admin::<can::RevokeInvitation>(tx, caller, org_id, id)?;
    if !store::decide(tx, id, Decision::Revoked)? {
        return Err(no_longer_pending());
    }
    end_link_and_notification(tx, id)?;
    audit::record(tx, audit_entry(caller, Action::InvitationRevoked, &invitation))
}

/// Declines a pending invitation for the caller's address.
pub fn decline<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: InvitationId) -> Result<Invitation, Error> {
    let invitation = find_for_caller(tx, caller, id)?;
    if !store::decide(tx, id, Decision::Declined)? {
        return Err(no_longer_pending());
    }
    end_link_and_notification(tx, id)?;
    audit::record(tx, audit_entry(caller, Action::InvitationDeclined, &invitation))?;
    reload(tx, invitation.org_id(), id)
}

/// A decided invitation can no longer be accepted: invalidates its link and resolves its notification. Every decision
/// updates the invitation before its links, so that no two transactions wait for each other.
fn end_link_and_notification(tx: &mut Tx<'_>, id: InvitationId) -> Result<(), Error> {
    one_time_tokens::invalidate(tx, Link::Invitation.purpose(), Target::Invitation(id))?;
    notifications::resolve(tx, Subject::Invitation(id))
}

pub fn no_longer_pending() -> Error {
    Error::with_detail(Code::InvalidState, "This invitation is no longer pending.")
}

/// The invitation that a mailed token is for; the token stays valid.
pub fn peek_mailed(tx: &mut Tx<'_>, token: &Token) -> Result<Option<Invitation>, Error> {
    match one_time_tokens::peek(tx, Link::Invitation.purpose(), token)? {
        Some(Target::Invitation(id)) => find(tx, id),
        _ => Ok(None),
    }
}

/// An invitation of any organisation, without a check of permissions.
pub fn find(tx: &mut Tx<'_>, id: InvitationId) -> Result<Option<Invitation>, Error> {
    store::find_mailed(tx, id)
}

/// Marks a pending invitation as accepted; false when it is no longer pending. Uses up the mailed token if there is one.
///
/// # Errors
/// `link_expired_or_used` when the token was replaced since [`peek_mailed`].
pub fn mark_accepted(
    tx: &mut Tx<'_>,
    id: InvitationId,
    user_id: UserId,
    mailed_token: Option<&Token>,
) -> Result<bool, Error> {
    if !store::decide(tx, id, Decision::AcceptedBy(user_id))? {
        return Ok(false);
    }
    if let Some(token) = mailed_token {
        one_time_tokens::consume(tx, Link::Invitation.purpose(), token)?;
    }
    end_link_and_notification(tx, id)?;
    Ok(true)
}

/// Marks the pending invitation for a new member's address as accepted, if there is one.
pub fn accept_pending(tx: &mut Tx<'_>, org_id: OrgId, new_member: &User) -> Result<(), Error> {
    match store::accept_pending(tx, org_id, &new_member.email, new_member.id)? {
        Some(id) => end_link_and_notification(tx, id),
        None => Ok(()),
    }
}

/// Revokes the inviter's pending invitations that exceed their new role; `None` means they left the organisation. Returns
/// how many were revoked.
pub fn revoke_by(tx: &mut Tx<'_>, org_id: OrgId, inviter_id: UserId, role: Option<OrgRole>) -> Result<usize, Error> {
    let exceeds = |offered: &OrgRole| !role.is_some_and(|role| has_authority_over(role, *offered));
    let exceeding: Vec<OrgRole> = OrgRole::ALL.iter().copied().filter(exceeds).collect();
    if exceeding.is_empty() {
        return Ok(0);
    }
    let revoked = store::revoke_by(tx, org_id, inviter_id, &exceeding)?;
    for id in &revoked {
        end_link_and_notification(tx, *id)?;
    }
    Ok(revoked.len())
}

/// Revokes all pending invitations of a person whose account is disabled or deleted, and returns how many there were. A caller
/// who deletes the account does so before, because the deletion clears the inviter.
pub fn revoke_all_by(tx: &mut Tx<'_>, inviter_id: UserId) -> Result<usize, Error> {
    let revoked = store::revoke_all_by(tx, inviter_id)?;
    for id in &revoked {
        end_link_and_notification(tx, *id)?;
    }
    Ok(revoked.len())
}
