//! Look-ups of memberships, with what their organisation is called.

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::Membership;
use crate::db::schema::{memberships, orgs};
use crate::error::Error;
use crate::ids::{OrgId, UserId};

pub fn find(connection: &mut PgConnection, org_id: OrgId, user_id: UserId) -> Result<Option<Membership>, Error> {
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
        .first(connection)
        .optional()?)
}
