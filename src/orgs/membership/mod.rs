//! Memberships: a user's role in an organisation, and the services disabled for them there.
//!
//! Sessions, API keys and every part of `orgs` read memberships here; this is the only module that writes the table. When
//! one may be added, changed or deleted is decided in `orgs`, `members` and `admission`. A membership has an id of its own:
//! a user who leaves and joins again gets a new one, so the API keys that were bound to the old one stay suspended.

mod model;
mod store;

pub use model::{Contact, Membership, OrgSummary, require_can_hold};
pub use store::{
    MembershipChange, count, count_owned, delete, find, insert, list_admins, list_others, list_owner_ids, lock, update,
};

use crate::db::Tx;
use crate::error::Error;
use crate::values::ids::{OrgId, UserId};

/// # Errors
/// `not_found` if the user is not a member, and if the organisation does not exist.
pub fn require(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<Membership, Error> {
    find(tx, org_id, user_id)?.ok_or_else(Error::not_found)
}
