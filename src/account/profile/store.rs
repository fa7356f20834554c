//! The query of `GET /me`.

use diesel::prelude::*;

use super::model::Profile;
use crate::auth::OrgRole;
use crate::db::Tx;
use crate::db::schema::{email_changes, memberships, notifications, orgs, users};
use crate::error::Error;
use crate::orgs::membership::OrgSummary;
use crate::users::User;
use crate::values::ids::{OrgId, UserId};

/// The account with its pending change of e-mail address, its unread notifications and, if the user is a member, the
/// organisation. One statement instead of four, because clients call `GET /me` often.
pub fn find(tx: &mut Tx<'_>, id: UserId, org_id: Option<OrgId>) -> Result<Option<Profile>, Error> {
    type Row = (
        User,
        Option<String>,
        Option<i64>,
        Option<(OrgId, String, String, OrgRole)>,
    );
    let pending = email_changes::table
        .filter(email_changes::user_id.eq(id))
        .filter(email_changes::confirmed_at.is_null())
        .filter(email_changes::cancelled_at.is_null())
        .filter(email_changes::expires_at.gt(tx.now))
        .select(email_changes::new_email);
    let unread = notifications::table
        .filter(notifications::user_id.eq(id))
        .filter(notifications::read_at.is_null())
        .count();
    let membership = memberships::user_id
        .eq(users::id)
        .and(memberships::org_id.nullable().eq(org_id));
    let row: Option<Row> = users::table
        .left_join(memberships::table.inner_join(orgs::table).on(membership))
        .filter(users::id.eq(id))
        .select((
            User::as_select(),
            pending.single_value(),
            unread.single_value(),
            (orgs::id, orgs::name, orgs::slug, memberships::role).nullable(),
        ))
        .first(tx.conn)
        .optional()?;
    Ok(row.map(|(user, pending_email, unread, org)| Profile {
        user,
        pending_email,
        unread_notifications: unread.unwrap_or_default(),
        active_org: org.map(|(id, name, slug, role)| OrgSummary { id, name, slug, role }),
    }))
}
