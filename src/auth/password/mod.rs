//! Passwords: how they are hashed, which ones are accepted, how guesses are limited.

mod hash;
mod policy;
mod queue;
mod throttle;

pub use hash::{Password, PasswordHasher, SALT_BYTES};
pub use policy::{PasswordPolicy, PasswordRules};
pub use throttle::{AttemptId, SWEEP as PASSWORD_ATTEMPTS_SWEEP, Throttle, ThrottleKey};
