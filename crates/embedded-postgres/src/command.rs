//! Runs a server program to its end.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::server_log;

/// Runs `command` with `input` on its standard input. If it fails, its error output goes to the log.
pub(crate) fn run(data_dir: &DataDir, command: &mut Command, input: &str, task: &'static str) -> Result<(), Error> {
    let run_error = |command: &Command, source| Error::Run {
        program: PathBuf::from(command.get_program()),
        source,
    };
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|source| run_error(command, source))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early closes the pipe. Its exit status and output are reported instead.
        let _ = stdin.write_all(input.as_bytes());
    }
    let Output { status, stderr, .. } = child.wait_with_output().map_err(|source| run_error(command, source))?;
    if status.success() {
        return Ok(());
    }
    let log = data_dir.log();
    server_log::append(&log, &stderr);
    Err(Error::Failed {
        task,
        reason: server_log::reason_in(&String::from_utf8_lossy(&stderr)),
        log,
    })
}
