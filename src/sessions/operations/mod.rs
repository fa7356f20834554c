//! The use cases of sessions.

mod end;
mod live;
mod login;
mod refresh;

pub use end::{end, end_all, end_by_refresh_token, end_others};
pub use live::{find_live, list, reauthenticate, switch_org};
pub use login::{Login, log_in};
pub use refresh::{Refreshed, refresh};

use super::model::{Grant, Session};
use super::refresh_token::RefreshToken;
use crate::db::Tx;
use crate::error::Error;
use crate::orgs::membership::{self, OrgSummary};
use crate::users::User;
use crate::values::IdRef;
use crate::values::ids::{OrgId, UserId};

fn grant(session: &Session, user: &User, active_org: Option<OrgSummary>, refresh_token: Option<RefreshToken>) -> Grant {
    Grant {
        session_id: session.id,
        user_id: user.id,
        role: user.role,
        authenticated_at: session.authenticated_at,
        ends_at: session.ends_at(),
        active_org,
        profile_complete: user.profile_complete(),
        refresh_token,
    }
}

/// The organisation in which a session acts from now on: the requested one or, without a request, `current` as long as the
/// user is a member.
///
/// # Errors
/// `not_found` when the user is not a member of the requested organisation.
fn resolve_org(
    tx: &mut Tx<'_>,
    user_id: UserId,
    requested: Option<IdRef<OrgId>>,
    current: Option<OrgId>,
) -> Result<Option<OrgSummary>, Error> {
    match (requested, current) {
        (Some(requested), _) => Ok(Some(membership::require(tx, requested.id()?, user_id)?.summary())),
        (None, Some(current)) => Ok(membership::find(tx, current, user_id)?.map(|membership| membership.summary())),
        (None, None) => Ok(None),
    }
}
