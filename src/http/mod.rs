//! What is the same for every endpoint: how a request is read, how an answer and a refusal look.
//!
//! A handler reads its request in the order of the contract: credential (its first argument), existence and permission
//! (its own look-ups), and only then the body or query, through [`RequestInput`]. Whoever asks for an answer to be remembered
//! ([`Idempotent`]) has the body read before, but nothing is said of it before its turn.

mod client;
mod deadline;
mod etag;
mod idempotency;
mod json;
mod middleware;
mod path;
mod problem;
mod rate_limit;
mod request_input;
mod response;

pub use etag::cacheable;
pub use idempotency::{Idempotent, Owner, has_idempotency_key, no_replay, sweep as sweep_idempotency_keys};
pub use middleware::{Edge, RouteTable, edge, fallback};
pub use path::{FromPath, Path, wrong_method};
pub use problem::{Challenge, MAX_AUTH_AGE_SECONDS, PROTECTED_RESOURCE, ProblemResponse, router};
pub use rate_limit::RateLimit;
pub use request_input::{MAX_BODY_BYTES, RequestInput};
pub use response::ApiResponse;
