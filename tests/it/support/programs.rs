//! Programs that are not part of Keyward, with which some tests run it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The program that `./scripts/test` fetched, or else that of the machine. If there is none, this prints that the test is skipped,
/// or fails if `KEYWARD_REQUIRED_PROGRAMS` has its name.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let fetched = concat!(env!("CARGO_MANIFEST_DIR"), "/target/gateways");
    let found = [fetched, "/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        let required = std::env::var_os("KEYWARD_REQUIRED_PROGRAMS").unwrap_or_default();
        let is_required = required
            .to_str()
            .unwrap()
            .split_whitespace()
            .any(|program| program == name);
        assert!(
            !is_required,
            "{name} is not installed; scripts/lib/gateways.sh fetches it"
        );
        print_skipped(&format!("{name} is not installed"));
    }
    found
}

/// Prints the line although the output of a test that succeeds is hidden.
pub fn print_skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let line = format!("skipped {name}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
