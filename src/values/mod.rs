//! Types of the values in requests and responses: how each is parsed, written and stored.
//!
//! This module does not use actix, so the `model.rs` of a slice can use all of it.

mod bounded_int;
mod bounded_text;
mod client;
mod email_address;
mod field_value;
mod fields;
mod id_ref;
pub mod ids;
pub mod locale;
mod network;
mod page;
mod patch;
mod precondition;
mod string_enum;
mod text;
mod timestamp;

pub use bounded_int::BoundedInt;
pub use bounded_text::BoundedText;
pub use client::{Client, RequestId};
pub use email_address::EmailAddress;
pub use field_value::{FieldValue, ValueErrors};
pub use fields::{Fields, FromFields, pointer_segment};
pub use id_ref::IdRef;
pub use network::{network_of, network_of_site};
pub use page::{Cursors, Page, PageQuery};
pub use patch::Patch;
pub use precondition::{Precondition, etag};
pub use string_enum::string_enum;
pub use text::{check_length, clean_line, clean_text, code_points, like_pattern, too_long};
pub use timestamp::Timestamp;
