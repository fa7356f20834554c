//! The order of the house: who may use whom.

use std::path::{Path, PathBuf};

/// The modules from the street to the cellar; each may use those in the lines below its own, and those of its own line only
/// where they stand further right.
const ORDER: &[&[&str]] = &[
    &["cli"],
    &["app", "worker"],
    &["health", "gateway", "admin", "personal_data", "operator"],
    &[
        "password",
        "email",
        "join_requests",
        "invitations",
        "members",
        "api_keys",
        "orgs",
    ],
    &["scopes"],
    &["sessions", "accounts"],
    &["memberships", "images"],
    &["one_time_tokens", "notifications", "audit"],
    &["state"],
    &["telemetry", "auth", "mail", "picture"],
    &["http"],
    &["db"],
    &["crew", "log"],
    &["error", "ids", "locale", "clock", "secret", "config"],
];

fn rank(module: &str) -> Option<(usize, usize)> {
    ORDER
        .iter()
        .enumerate()
        .find_map(|(row, names)| Some((row, names.iter().position(|name| *name == module)?)))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn imports_point_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if module == "main" || module == "lib" {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("{module} has no place in the order"));
        let text = std::fs::read_to_string(&file).unwrap();
        for used in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| line.split("crate::").skip(1))
        {
            let used = used
                .trim_start_matches('{')
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap();
            if used == module {
                continue;
            }
            let Some(place) = rank(used) else { continue };
            if place < own {
                wrong.push(format!("{} uses {used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn diesel_stays_in_stores() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&root) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        if name == "routes.rs" {
            assert!(
                !text.contains("diesel::prelude") && !text.contains("schema::"),
                "{} queries",
                file.display()
            );
        }
        if name == "operations.rs" || name == "model.rs" {
            assert!(!text.contains("actix_web::"), "{} knows actix", file.display());
        }
    }
}
