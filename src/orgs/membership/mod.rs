//! Who is where as what: a person's stay in an organisation.
//!
//! This is what every slice asks before it acts in an organisation; how stays begin, change and end is for `orgs`,
//! `members`, `invitations` and `join_requests`. A stay has an id of its own: who leaves and comes back begins another, and
//! what hung on the first (API keys above all) stays dead.

mod model;
mod store;

pub use model::{Membership, OrgSummary};

use crate::db::Tx;

use crate::auth::OrgRole;
use crate::error::Error;
use crate::values::ids::{MembershipId, OrgId, UserId};

/// The person's stay in the organisation, if they are a member now.
///
/// # Errors
/// When the database fails.
pub fn find(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<Option<Membership>, Error> {
    store::find(tx, org_id, user_id)
}

/// The person's stay in the organisation; for somebody who is no member there is no such organisation.
///
/// # Errors
/// `not_found`.
pub fn require(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<Membership, Error> {
    find(tx, org_id, user_id)?.ok_or_else(Error::not_found)
}

/// Begins a stay.
///
/// # Errors
/// `already_member`.
pub fn begin(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId, role: OrgRole) -> Result<MembershipId, Error> {
    store::insert(tx, org_id, user_id, role)
}
