//! Every query on images.

use diesel::prelude::*;

use crate::db::Tx;
use crate::db::schema::images;
use crate::error::Error;
use crate::values::ids::ImageId;

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

/// Deletes an image. The foreign keys of users and organisations that show it become null.
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
