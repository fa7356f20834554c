//! Passwords: how they are hashed, which are accepted, how guesses are limited.

mod hash;
mod policy;
mod throttle;

pub use hash::{Password, PasswordHasher};
pub use policy::PasswordPolicy;
pub use throttle::{Throttle, ThrottleKey, sweep as sweep_password_attempts};
