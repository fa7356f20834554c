//! How stays begin and end, and what that settles.

use crate::db::Tx;

use super::store;
use crate::auth::OrgRole;
use crate::error::Error;
use crate::notifications::email::Link;
use crate::notifications::{self, Subject};
use crate::one_time_tokens::{self, Target};
use crate::orgs::may_decide_about;
use crate::orgs::membership;
use crate::users::{self, User};
use crate::values::ids::{InvitationId, OrgId, UserId};

/// Begins a stay, with the organisation locked; whatever else would have led to it (a pending invitation, a pending
/// request) is settled.
///
/// # Errors
/// `already_member`.
pub fn admit(
    tx: &mut Tx<'_>,
    org_id: OrgId,
    newcomer: &User,
    (role, decided_by): (OrgRole, Option<UserId>),
) -> Result<(), Error> {
    membership::begin(tx, org_id, newcomer.id, role)?;
    if let Some(id) = store::accept_invitation(tx, org_id, &newcomer.email, newcomer.id)? {
        close(tx, id)?;
    }
    if let Some(id) = store::approve_request(tx, org_id, newcomer.id, decided_by)? {
        notifications::resolve(tx, Subject::JoinRequest(id))?;
    }
    Ok(())
}

/// An invitation was decided: its link dies, and who was told of it need not act any more.
fn close(tx: &mut Tx<'_>, id: InvitationId) -> Result<(), Error> {
    one_time_tokens::void(tx, Link::Invitation.purpose(), Target::Invitation(id))?;
    notifications::resolve(tx, Subject::Invitation(id))
}

/// Whether somebody's invitations into `role` still stand: whoever lost the right to invite has none.
///
/// # Errors
/// When the database fails.
pub fn may_invite(tx: &mut Tx<'_>, org_id: OrgId, inviter: Option<UserId>, role: OrgRole) -> Result<bool, Error> {
    let Some(inviter) = inviter else { return Ok(false) };
    let Some(stay) = membership::find(tx, org_id, inviter)? else {
        return Ok(false);
    };
    let disabled = users::find(tx, inviter)?.disabled_at.is_some();
    Ok(!disabled && may_decide_about(stay.role(), role))
}

/// Takes back the invitations of somebody whose role is `role` from now on (none: they are gone) that they could not make
/// any more. Answers how many.
pub fn void_promises(tx: &mut Tx<'_>, org_id: OrgId, inviter: UserId, role: Option<OrgRole>) -> Result<usize, Error> {
    let lost: Vec<&str> = OrgRole::ALL
        .iter()
        .filter(|offered| !role.is_some_and(|role| may_decide_about(role, **offered)))
        .map(|offered| offered.as_str())
        .collect();
    if lost.is_empty() {
        return Ok(0);
    }
    let void = store::revoke_invitations(tx, org_id, inviter, &lost)?;
    for id in &void {
        close(tx, *id)?;
    }
    Ok(void.len())
}
