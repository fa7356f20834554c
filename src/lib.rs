//! Keyward, a self-hosted account service.
#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod ids;
pub mod locale;
pub mod secret;
