//! Conditional requests: `If-Match` (RFC 9110 §13.1.1).

use crate::error::{Code, Error};

/// The strong entity tag of a version.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The entity tags of `If-Match`; `None` without that header, which every version satisfies.
#[derive(Clone, Debug)]
pub struct Precondition(Option<Vec<String>>);

impl Precondition {
    pub const fn new(tags: Option<Vec<String>>) -> Self {
        Self(tags)
    }

    /// Call this with the version of a row that is locked, so that it cannot change between the check and the update.
    ///
    /// # Errors
    /// `precondition_failed` when the row has changed since the client read it.
    pub fn check(&self, version: i64) -> Result<(), Error> {
        match &self.0 {
            Some(tags) if !tags.iter().any(|given| given == "*" || *given == etag(version)) => {
                Err(Error::new(Code::PreconditionFailed))
            }
            _ => Ok(()),
        }
    }
}
