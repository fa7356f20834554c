//! Every query on images.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;

use crate::db::schema::images;
use crate::error::Error;
use crate::values::ids::ImageId;

/// Keeps an image.
///
/// # Errors
/// When the database fails.
pub fn insert(connection: &mut PgConnection, now: DateTime<Utc>, content: &[u8]) -> Result<ImageId, Error> {
    let id = ImageId::new(now);
    diesel::insert_into(images::table)
        .values((
            images::id.eq(id),
            images::content.eq(content),
            images::created_at.eq(now),
        ))
        .execute(connection)?;
    Ok(id)
}

/// Forgets an image; whoever showed it shows none.
///
/// # Errors
/// When the database fails.
pub fn delete(connection: &mut PgConnection, id: ImageId) -> Result<(), Error> {
    diesel::delete(images::table.find(id)).execute(connection)?;
    Ok(())
}

pub(super) fn find(connection: &mut PgConnection, id: ImageId) -> Result<Option<Vec<u8>>, Error> {
    Ok(images::table
        .find(id)
        .select(images::content)
        .first(connection)
        .optional()?)
}
