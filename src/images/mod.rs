//! Stored images: the avatars of users and the logos of organisations, as [`ImageResizer`] produced them.
//!
//! An image never changes: a new upload is a new image with a new id, so clients can cache its URL without limit.

pub mod resize;
mod routes;
mod store;

pub use resize::ImageResizer;
pub use routes::router;
pub use store::{delete, insert};

use crate::config::Config;
use crate::values::ids::ImageId;

/// The public URL of an image.
pub fn url(config: &Config, id: ImageId) -> String {
    format!("{}/avatars/{id}", config.public_url().as_str())
}
