//! Pictures of people and organisations: whatever is sent becomes a small square WebP without metadata.
//!
//! A picture is work and memory before it is a picture, so its dimensions are read before it is decoded, and only a few are
//! decoded at a time. A stored image never changes: a new picture is a new image, so its URL may be cached for ever.

mod picture;
mod routes;
mod store;

pub use picture::{MAX_BYTES, MEDIA_TYPES, Painter};
pub use routes::router;
pub use store::{delete, insert};

use crate::config::Config;
use crate::ids::ImageId;

/// Where an image is to be had.
pub fn url(config: &Config, id: ImageId) -> String {
    format!("{}/avatars/{id}", config.public_url().as_str())
}
