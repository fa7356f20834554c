//! Values that cross the API: how a field of a request becomes a domain type, and how one is written.
//!
//! Nothing here knows HTTP, so a slice's `model.rs` may use all of it.

mod client;
mod email_address;
mod fields;
pub mod ids;
pub mod locale;
mod page;
mod precondition;
mod string_enum;
mod text;
mod timestamp;

pub use client::{Client, RequestId};
pub use email_address::EmailAddress;
pub use fields::{BoundedInt, FieldValue, Fields, FromFields, IdRef, Patch, ValueErrors};
pub use page::{Cursors, Page, PageQuery};
pub use precondition::{Precondition, etag};
pub use string_enum::string_enum;
pub use text::{check_length, clean_line, clean_text, code_points};
pub use timestamp::Timestamp;
