//! What a command prints.

use std::io::Write as _;

use super::failure::Failure;

/// Writes to standard output; unlike `print!`, it does not panic if that is closed.
pub fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}
