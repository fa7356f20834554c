//! Keyward, a self-hosted account service.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod http;
pub mod ids;
pub mod locale;
pub mod mail;
pub mod memberships;
pub mod notifications;
pub mod one_time_tokens;
pub mod secret;
pub mod state;
