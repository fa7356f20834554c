//! Queries on all people, which only administrators may ask.

use crate::db::Tx;
use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::model::{UserRow, UserStatus};
use crate::auth::PlatformRole;
use crate::db::schema::{orgs, users};
use crate::error::Error;
use crate::values::ids::{OrgId, UserId};

#[diesel::declare_sql_function]
extern "SQL" {
    fn keyward_user_search_text(email: Text, username: Nullable<Text>, nickname: Nullable<Text>) -> Text;
    fn keyward_trigrams(content: Text) -> Array<Text>;
    fn lower(text: Text) -> Text;
    fn strpos(text: Text, part: Text) -> Integer;
}

/// Which people are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What their address, username or nickname contains.
    pub q: Option<String>,
    pub status: Option<UserStatus>,
}

/// All people, newest first, after the one with the key `after`.
pub fn list(
    tx: &mut Tx<'_>,
    filter: &Filter,
    after: Option<(DateTime<Utc>, UserId)>,
    limit: i64,
) -> Result<Vec<UserRow>, Error> {
    let mut query = users::table
        .order((users::created_at.desc(), users::id.desc()))
        .limit(limit)
        .select(UserRow::as_select())
        .into_boxed();
    if let Some(q) = &filter.q {
        let text = keyward_user_search_text(users::email, users::username, users::nickname);
        // The pieces find candidates by an index; whether the whole is in one of them is then looked at.
        query = query
            .filter(keyward_trigrams(text).contains(keyward_trigrams(lower(q.clone()))))
            .filter(strpos(text, lower(q.clone())).gt(0));
    }
    query = match filter.status {
        Some(UserStatus::Disabled) => query.filter(users::disabled_at.is_not_null()),
        Some(UserStatus::Unverified) => query
            .filter(users::disabled_at.is_null())
            .filter(users::email_verified_at.is_null()),
        Some(UserStatus::Active) => query
            .filter(users::disabled_at.is_null())
            .filter(users::email_verified_at.is_not_null()),
        None => query,
    };
    if let Some((at, id)) = after {
        // The first condition is implied by the second, but is the one that an index can start from.
        query = query
            .filter(users::created_at.le(at))
            .filter(users::created_at.lt(at).or(users::id.lt(id)));
    }
    Ok(query.load(tx.conn)?)
}

pub fn find(tx: &mut Tx<'_>, id: UserId) -> Result<Option<UserRow>, Error> {
    Ok(users::table
        .find(id)
        .select(UserRow::as_select())
        .first(tx.conn)
        .optional()?)
}

/// Those of these people that there are, locked in the order of their ids: so that of two administrators who unmake each
/// other one comes after the other.
pub fn lock(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Vec<UserRow>, Error> {
    Ok(users::table
        .filter(users::id.eq_any(ids))
        .order(users::id)
        .select(UserRow::as_select())
        .for_update()
        .load(tx.conn)?)
}

pub fn set(
    tx: &mut Tx<'_>,
    id: UserId,
    role: PlatformRole,
    disabled_at: Option<DateTime<Utc>>,
) -> Result<UserRow, Error> {
    Ok(diesel::update(users::table.find(id))
        .set((users::role.eq(role.as_str()), users::disabled_at.eq(disabled_at)))
        .returning(UserRow::as_returning())
        .get_result(tx.conn)?)
}

pub fn has_org(tx: &mut Tx<'_>, id: OrgId) -> Result<bool, Error> {
    Ok(diesel::select(exists(orgs::table.find(id))).get_result(tx.conn)?)
}
