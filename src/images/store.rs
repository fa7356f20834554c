//! Every query on images.

use crate::db::Tx;
use diesel::prelude::*;

use crate::db::schema::images;
use crate::error::Error;
use crate::values::ids::ImageId;

/// Keeps an image.
///
/// # Errors
/// When the database fails.
pub fn insert(tx: &mut Tx<'_>, content: &[u8]) -> Result<ImageId, Error> {
    let id = ImageId::new(tx.now);
    diesel::insert_into(images::table)
        .values((
            images::id.eq(id),
            images::content.eq(content),
            images::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

/// Forgets an image; whoever showed it shows none.
///
/// # Errors
/// When the database fails.
pub fn delete(tx: &mut Tx<'_>, id: ImageId) -> Result<(), Error> {
    diesel::delete(images::table.find(id)).execute(tx.conn)?;
    Ok(())
}

pub(super) fn find(tx: &mut Tx<'_>, id: ImageId) -> Result<Option<Vec<u8>>, Error> {
    Ok(images::table
        .find(id)
        .select(images::content)
        .first(tx.conn)
        .optional()?)
}
