//! Every query on one-time tokens.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;

use super::model::Target;
use crate::db::Tx;
use crate::db::schema::one_time_tokens as table;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::secret::{Purpose, TokenHash};
use crate::values::ids::{EmailChangeId, InvitationId, OneTimeTokenId, RegistrationId, UserId};

/// The four target columns, of which exactly one is set.
type TargetColumns = (
    Option<RegistrationId>,
    Option<UserId>,
    Option<EmailChangeId>,
    Option<InvitationId>,
);

const fn columns_of(target: Target) -> TargetColumns {
    match target {
        Target::Registration(id) => (Some(id), None, None, None),
        Target::User(id) => (None, Some(id), None, None),
        Target::EmailChange(id) => (None, None, Some(id), None),
        Target::Invitation(id) => (None, None, None, Some(id)),
    }
}

fn target_of(columns: TargetColumns) -> Option<Target> {
    let (registration, user, email_change, invitation) = columns;
    registration
        .map(Target::Registration)
        .or(user.map(Target::User))
        .or(email_change.map(Target::EmailChange))
        .or(invitation.map(Target::Invitation))
}

pub fn insert(
    tx: &mut Tx<'_>,
    id: OneTimeTokenId,
    purpose: Purpose,
    hash: &TokenHash,
    target: Target,
    expires_at: DateTime<Utc>,
) -> Result<(), Error> {
    let (registration, user, email_change, invitation) = columns_of(target);
    diesel::insert_into(table::table)
        .values((
            table::id.eq(id),
            table::purpose.eq(purpose.as_str()),
            table::token_hash.eq(hash.as_bytes().as_slice()),
            table::registration_id.eq(registration),
            table::user_id.eq(user),
            table::email_change_id.eq(email_change),
            table::invitation_id.eq(invitation),
            table::created_at.eq(tx.now),
            table::expires_at.eq(expires_at),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub fn find_valid(tx: &mut Tx<'_>, purpose: Purpose, hash: &TokenHash) -> Result<Option<Target>, Error> {
    let columns: Option<TargetColumns> = table::table
        .filter(table::token_hash.eq(hash.as_bytes().as_slice()))
        .filter(table::purpose.eq(purpose.as_str()))
        .filter(table::used_at.is_null())
        .filter(table::invalidated_at.is_null())
        .filter(table::expires_at.gt(tx.now))
        .select((
            table::registration_id,
            table::user_id,
            table::email_change_id,
            table::invitation_id,
        ))
        .first(tx.conn)
        .optional()?;
    Ok(columns.and_then(target_of))
}

pub fn consume(tx: &mut Tx<'_>, purpose: Purpose, hash: &TokenHash) -> Result<Option<Target>, Error> {
    let valid = table::table
        .filter(table::token_hash.eq(hash.as_bytes().as_slice()))
        .filter(table::purpose.eq(purpose.as_str()))
        .filter(table::used_at.is_null())
        .filter(table::invalidated_at.is_null())
        .filter(table::expires_at.gt(tx.now));
    let columns: Option<TargetColumns> = diesel::update(valid)
        .set(table::used_at.eq(tx.now))
        .returning((
            table::registration_id,
            table::user_id,
            table::email_change_id,
            table::invitation_id,
        ))
        .get_result(tx.conn)
        .optional()?;
    Ok(columns.and_then(target_of))
}

pub fn invalidate(tx: &mut Tx<'_>, purpose: Purpose, target: Target) -> Result<(), Error> {
    let unused = diesel::update(table::table)
        .filter(table::purpose.eq(purpose.as_str()))
        .filter(table::used_at.is_null())
        .filter(table::invalidated_at.is_null());
    let invalidated = table::invalidated_at.eq(tx.now);
    match target {
        Target::Registration(id) => unused
            .filter(table::registration_id.eq(id))
            .set(invalidated)
            .execute(tx.conn)?,
        Target::User(id) => unused.filter(table::user_id.eq(id)).set(invalidated).execute(tx.conn)?,
        Target::EmailChange(id) => unused
            .filter(table::email_change_id.eq(id))
            .set(invalidated)
            .execute(tx.conn)?,
        Target::Invitation(id) => unused
            .filter(table::invitation_id.eq(id))
            .set(invalidated)
            .execute(tx.conn)?,
    };
    Ok(())
}

/// Tokens of links that have expired.
pub const SWEEP: Sweep = Sweep {
    table: "one_time_tokens",
    ended: "expires_at < $1",
    order_by: "expires_at",
    retention: |_| Some(TimeDelta::days(30)),
    cutoff_setting: None,
};
