//! The parts of HTTP that are the same for every endpoint: middleware, reading requests, writing responses and problems.
//!
//! A handler checks its request in the order of the contract: credential (its first argument), existence and permission
//! (its own look-ups), then media type, size and content of query and body. [`RequestInput`] therefore reads nothing until
//! the handler calls one of its methods. [`Idempotent`] has to read the body earlier, but keeps its errors until then.

mod client;
mod concurrency_limit;
mod connections;
mod etag;
mod idempotency;
mod json;
mod middleware;
mod path;
mod problem;
mod rate_limit;
mod request_input;
mod response;
mod route_table;
mod write_limit;

pub use concurrency_limit::{ConcurrencyLimit, Slot};
pub use connections::{Connection, Connections, LimitedStream, Refusal, SWEEP_INTERVAL};
pub use etag::{TaggedContent, cacheable};
pub use idempotency::{IdempotencyOwner, Idempotent, SWEEP as IDEMPOTENCY_KEYS_SWEEP, has_idempotency_key, no_replay};
pub use middleware::{RequestContext, with_request_context};
pub use path::{FromPath, Path, method_not_allowed};
pub use problem::{MAX_AUTH_AGE_SECONDS, PROTECTED_RESOURCE, ProblemRenderer, ProblemResponse, router};
pub use rate_limit::RateLimit;
pub use request_input::{MAX_BODY_BYTES, RequestInput};
pub use response::ApiResponse;
pub use route_table::{RouteTable, fallback};
pub use write_limit::WriteLimit;
