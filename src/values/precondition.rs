//! The condition of a conditional request (`If-Match`, RFC 9110 §13.1.1).

use crate::error::{Code, Error};

/// The strong entity tag of a version.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The entity tags that the client accepts; without any, every version is.
#[derive(Clone, Debug)]
pub struct Precondition(Option<Vec<String>>);

impl Precondition {
    pub const fn new(tags: Option<Vec<String>>) -> Self {
        Self(tags)
    }

    /// Compares with the version of a locked row.
    ///
    /// # Errors
    /// `precondition_failed` when the row was changed since the client read it.
    pub fn check(&self, version: i64) -> Result<(), Error> {
        match &self.0 {
            Some(tags) if !tags.iter().any(|given| given == "*" || *given == etag(version)) => {
                Err(Error::new(Code::PreconditionFailed))
            }
            _ => Ok(()),
        }
    }
}
