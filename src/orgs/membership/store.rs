//! Look-ups of memberships, with what their organisation is called.

use crate::db::Tx;
use diesel::prelude::*;

use super::Membership;
use crate::auth::OrgRole;
use crate::db::schema::{memberships, orgs};
use crate::error::{Code, Error};
use crate::values::ids::{MembershipId, OrgId, UserId};

pub fn find(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId) -> Result<Option<Membership>, Error> {
    Ok(memberships::table
        .inner_join(orgs::table)
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.eq(user_id))
        .select((
            memberships::id,
            memberships::org_id,
            orgs::name,
            orgs::slug,
            memberships::role,
            memberships::disabled_services,
        ))
        .first(tx.conn)
        .optional()?)
}

pub fn insert(tx: &mut Tx<'_>, org_id: OrgId, user_id: UserId, role: OrgRole) -> Result<MembershipId, Error> {
    let id = MembershipId::new(tx.now);
    let inserted = diesel::insert_into(memberships::table)
        .values((
            memberships::id.eq(id),
            memberships::org_id.eq(org_id),
            memberships::user_id.eq(user_id),
            memberships::role.eq(role.as_str()),
            memberships::joined_at.eq(tx.now),
        ))
        .on_conflict((memberships::org_id, memberships::user_id))
        .do_nothing()
        .execute(tx.conn)?;
    if inserted == 0 {
        return Err(Error::new(Code::AlreadyMember));
    }
    Ok(id)
}
