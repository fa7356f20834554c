//! Stored images: the avatars of people and the logos of organisations, as [`crate::picture`] made them.
//!
//! An image never changes: a new picture is a new image, so its URL may be cached for ever.

pub mod resize;
mod routes;
mod store;

pub use routes::router;
pub use store::{delete, insert};

use crate::config::Config;
use crate::values::ids::ImageId;

/// Where an image is to be had.
pub fn url(config: &Config, id: ImageId) -> String {
    format!("{}/avatars/{id}", config.public_url().as_str())
}
