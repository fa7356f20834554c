//! The message of a command that failed.

use crate::error::Error;

/// One line for the terminal.
pub type Failure = String;

pub fn one_line(error: impl std::fmt::Display) -> Failure {
    error.to_string().replace('\n', " ")
}

/// The source of an [`Error`]: its own text is written for API clients and leaves out the cause.
pub fn with_source(error: Error) -> Failure {
    match std::error::Error::source(&error) {
        Some(source) => one_line(source),
        None => one_line(error.detail()),
    }
}
