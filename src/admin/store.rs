//! Queries that only platform admins may run.

use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::model::Filter;
use crate::db::Tx;
use crate::db::schema::{orgs, users};
use crate::error::Error;
use crate::users::{User, UserStatus};
use crate::values::ids::{OrgId, UserId};

#[diesel::declare_sql_function]
extern "SQL" {
    fn keyward_user_search_text(email: Text, username: Nullable<Text>, nickname: Nullable<Text>) -> Text;
    fn keyward_trigrams(content: Text) -> Array<Text>;
    fn lower(text: Text) -> Text;
    fn strpos(text: Text, part: Text) -> Integer;
}

/// Accounts, newest first, that follow the one with the key `after`.
pub fn list(
    tx: &mut Tx<'_>,
    filter: &Filter,
    after: Option<(DateTime<Utc>, UserId)>,
    limit: i64,
) -> Result<Vec<User>, Error> {
    let mut query = users::table
        .order((users::created_at.desc(), users::id.desc()))
        .limit(limit)
        .select(User::as_select())
        .into_boxed();
    if let Some(search) = &filter.search {
        let text = keyward_user_search_text(users::email, users::username, users::nickname);
        // The index on trigrams finds candidates, which contain all trigrams; `strpos` keeps those that contain the text.
        query = query
            .filter(keyward_trigrams(text).contains(keyward_trigrams(lower(search.clone()))))
            .filter(strpos(text, lower(search.clone())).gt(0));
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
        // The second condition implies the first, but only the first is a range of the index.
        query = query
            .filter(users::created_at.le(at))
            .filter(users::created_at.lt(at).or(users::id.lt(id)));
    }
    Ok(query.load(tx.conn)?)
}

pub fn has_org(tx: &mut Tx<'_>, id: OrgId) -> Result<bool, Error> {
    Ok(diesel::select(exists(orgs::table.find(id))).get_result(tx.conn)?)
}
