//! The use cases that end with a new membership.

use crate::audit::{self, Action};
use crate::auth::{Caller, OrgRole};
use crate::db::Tx;
use crate::error::{Code, Error};
use crate::orgs::invitations::{self, Invitation};
use crate::orgs::join_requests::{self, JoinRequest, Outcome};
use crate::orgs::{self, OrgMember, can, has_authority_over, membership};
use crate::secret::Token;
use crate::users::{self, User};
use crate::values::ids::{InvitationId, JoinRequestId, OrgId, UserId};

/// Maximum number of members of an organisation.
const MAX_MEMBERS: i64 = 10_000;

/// For [`Caller::locking`]: locks the organisation of an invitation, and returns the inviter, whose account and role decide
/// whether it can be accepted.
pub fn lock_inviter(tx: &mut Tx<'_>, id: InvitationId) -> Result<Vec<UserId>, Error> {
    let invitation = invitations::find(tx, id)?;
    lock_org_of(tx, invitation)
}

/// Like [`lock_inviter`], by the mailed token.
pub fn lock_mailed_inviter(tx: &mut Tx<'_>, token: &Token) -> Result<Vec<UserId>, Error> {
    let invitation = invitations::peek_mailed(tx, token)?;
    lock_org_of(tx, invitation)
}

fn lock_org_of(tx: &mut Tx<'_>, invitation: Option<Invitation>) -> Result<Vec<UserId>, Error> {
    let Some(invitation) = invitation else {
        return Ok(Vec::new());
    };
    orgs::lock_if_exists(tx, invitation.org_id())?;
    Ok(invitation.inviter_id().into_iter().collect())
}

/// Accepts an invitation for the caller's verified address.
pub fn accept_by_id<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: InvitationId) -> Result<Invitation, Error> {
    let invitation = invitations::find_for_caller(tx, caller, id)?;
    orgs::lock(tx, invitation.org_id())?;
    accept(tx, caller, &invitation, None)
}

/// Accepts an invitation with its mailed token. Only the invited mailbox received the token, so the caller's account may have
/// another address.
pub fn accept_by_token<P>(tx: &mut Tx<'_>, caller: &Caller<P>, token: &Token) -> Result<Invitation, Error> {
    let invitation = invitations::peek_mailed(tx, token)?.ok_or_else(|| Error::new(Code::LinkExpiredOrUsed))?;
    orgs::lock(tx, invitation.org_id()).map_err(|error| error.if_not_found(Code::LinkExpiredOrUsed))?;
    accept(tx, caller, &invitation, Some(token))
}

/// Makes the caller a member if the invitation is pending and its inviter could still create it. The organisation and the
/// account of the inviter must be locked.
fn accept<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    invitation: &Invitation,
    mailed_token: Option<&Token>,
) -> Result<Invitation, Error> {
    let refusal = || match mailed_token {
        Some(_) => Error::new(Code::LinkExpiredOrUsed),
        None => invitations::no_longer_pending(),
    };
    if !inviter_may_still_invite(tx, invitation)? {
        return Err(refusal());
    }
    let user = users::find(tx, caller.user_id)?;
    if !invitations::mark_accepted(tx, invitation.id, user.id, mailed_token)? {
        return Err(refusal());
    }
    add_member(tx, invitation.org_id(), &user, invitation.role, invitation.inviter_id())?;
    let entry = invitations::audit_entry(caller, Action::InvitationAccepted, invitation);
    audit::record(tx, entry)?;
    invitations::reload(tx, invitation.org_id(), invitation.id)
}

/// Whether the inviter is an enabled member whose role lets them give the role of the invitation. What ends
/// this right revokes their invitations too; this check covers an invitation that was made at the same time.
fn inviter_may_still_invite(tx: &mut Tx<'_>, invitation: &Invitation) -> Result<bool, Error> {
    let Some(inviter_id) = invitation.inviter_id() else {
        return Ok(false);
    };
    let Some(membership) = membership::find(tx, invitation.org_id(), inviter_id)? else {
        return Ok(false);
    };
    let is_disabled = users::find(tx, inviter_id)?.disabled_at.is_some();
    Ok(!is_disabled && has_authority_over(membership.role, invitation.role))
}

/// For [`Caller::locking`]: locks the organisation, if it exists, and returns the person who made the request.
pub fn lock_requester(tx: &mut Tx<'_>, org_id: OrgId, id: JoinRequestId) -> Result<Vec<UserId>, Error> {
    orgs::lock_if_exists(tx, org_id)?;
    join_requests::list_requester(tx, org_id, id)
}

/// Approves a pending request to join: the person becomes a member with this role and is notified.
pub fn approve_join_request<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    org_id: OrgId,
    id: JoinRequestId,
    role: OrgRole,
) -> Result<JoinRequest, Error> {
    let membership = OrgMember::<can::ApproveJoinRequest>::require_locked(tx, caller, org_id)?;
    let request = join_requests::reload(tx, org_id, id)?;
    membership.require_authority_over(role)?;
    let user = users::lock(tx, request.person.id)?;
    join_requests::mark_approved(tx, id, caller.user_id)?;
    add_member(tx, org_id, &user, role, Some(caller.user_id))?;
    join_requests::notify_decision(tx, &user, &request, Outcome::Approved)?;
    let entry = join_requests::audit_entry(caller, Action::JoinRequestApproved, &request, user.name());
    audit::record(tx, entry.detail("role", role.as_str()))?;
    join_requests::reload(tx, org_id, id)
}

/// Inserts the membership, accepts a pending invitation and approves a pending request of the same person, because a member
/// needs neither. The organisation must be locked.
///
/// # Errors
/// `already_member`; `invalid_state` when a disabled account would become an owner; `limit_reached` with [`MAX_MEMBERS`].
fn add_member(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    user: &User,
    role: OrgRole,
    admitted_by: Option<UserId>,
) -> Result<(), Error> {
    membership::require_can_hold(role, user)?;
    if membership::count(tx, org_id)? >= MAX_MEMBERS {
        let detail = format!("The organisation has {MAX_MEMBERS} members. An admin has to remove one first.");
        return Err(Error::with_detail(Code::LimitReached, detail));
    }
    membership::insert(tx, org_id, user.id, role)?;
    invitations::accept_pending(tx, org_id, user)?;
    join_requests::approve_pending(tx, org_id, user.id, admitted_by)
}
