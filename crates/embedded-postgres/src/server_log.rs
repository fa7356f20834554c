//! The log of the server, and the reason for a failure in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::Error;

/// A larger log is renamed to `postgres.log.old` at the next start.
const MAX_LOG_BYTES: u64 = 16 << 20;

/// How much of the end of the log is searched for the reason of a failure.
const MAX_TAIL_BYTES: u64 = 64 << 10;

/// Opens the log for a start of the server. Returns its length as well: what follows is the output of this start.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Error> {
    if fs::metadata(path).is_ok_and(|log| log.len() > MAX_LOG_BYTES) {
        fs::rename(path, path.with_extension("log.old")).map_err(Error::io("rename", path))?;
    }
    let log = open_for_append(path).map_err(Error::io("write", path))?;
    let length = log.metadata().map_err(Error::io("inspect", path))?.len();
    Ok((log, length))
}

/// Appends the output of a failed program. An error is ignored: the failure of the program is what counts.
pub(crate) fn append(path: &Path, output: &[u8]) {
    let _ = open_for_append(path).and_then(|mut log| log.write_all(output));
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The text of the log from the position `start` on, limited to the last [`MAX_TAIL_BYTES`].
pub(crate) fn text_since(path: &Path, start: u64) -> String {
    let mut text = Vec::new();
    if let Ok(mut log) = File::open(path) {
        let end = log.metadata().map_or(0, |log| log.len());
        let _ = log.seek(SeekFrom::Start(start.max(end.saturating_sub(MAX_TAIL_BYTES))));
        let _ = log.take(MAX_TAIL_BYTES).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The last line that reports an error, without its prefix; else the last line.
pub(crate) fn reason_in(output: &str) -> String {
    const SEVERITIES: [&str; 4] = ["FATAL:", "PANIC:", "ERROR:", "error:"];
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    let message = lines().find_map(|line| {
        let start = SEVERITIES
            .iter()
            .find_map(|severity| line.find(severity).map(|at| at + severity.len()))?;
        line.get(start..).map(str::trim)
    });
    message
        .or_else(|| lines().next())
        .unwrap_or("it ended without any output")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_error_or_else_the_last_line() {
        let log = "12:00 [7] ERROR:  first\n12:01 [7] FATAL:  out of disk\n12:02 [7] LOG:  shut down\n";
        assert_eq!(reason_in(log), "out of disk");
        assert_eq!(reason_in("one\n two \n\n"), "two");
        assert_eq!(reason_in(""), "it ended without any output");
    }
}
