//! What is the same for every endpoint: how a request is read, how an answer and a refusal look.
//!
//! A handler reads its request in the order of the contract: credential (its first argument), existence and permission
//! (its own look-ups), and only then the body or query, through [`Input`]. Whoever asks for an answer to be remembered
//! ([`Idempotent`]) has the body read before, but nothing is said of it before its turn.

mod answer;
mod client;
mod deadline;
mod edge;
mod etag;
mod idempotency;
mod input;
mod json;
mod members;
mod meters;
mod page;
mod path;
mod problem;
mod rate_limit;
mod text;
mod timestamp;
mod words;

pub use answer::Answer;
pub use client::{Client, RequestId};
pub use edge::{Edge, RouteTable, edge, fallback};
pub use etag::{Precondition, cacheable, etag};
pub use idempotency::{Idempotent, Owner, sweep as sweep_idempotency_keys, wants_memory};
pub use input::{Input, MAX_BODY_BYTES};
pub use members::{Change, FromMembers, Int, Invalids, Member, Members, Reference};
pub use page::{Cursors, Page, PageQuery};
pub use path::{Path, wrong_method};
pub use problem::{Challenge, MAX_AUTH_AGE_SECONDS, PROTECTED_RESOURCE, ProblemResponse, router};
pub use rate_limit::RateLimit;
pub use text::{check_length, clean_line, clean_text, code_points};
pub use timestamp::Timestamp;
pub use words::one_of;
