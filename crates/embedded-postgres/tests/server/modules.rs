//! The module table in the documentation of the crate, compared with the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules in the order of the table, from left to right and from top to bottom.
fn modules_in_table() -> Vec<String> {
    let text = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('|').next())
        .flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

#[test]
fn each_module_imports_only_modules_that_come_later_in_the_table() {
    let order = modules_in_table();
    for (position, module) in order.iter().enumerate() {
        let text = fs::read_to_string(source_folder().join(format!("{module}.rs"))).unwrap();
        let imports = text.lines().filter_map(|line| line.strip_prefix("use crate::"));
        for import in imports {
            let used = import.split([':', ';']).next().unwrap();
            let used_position = order.iter().position(|name| name == used);
            assert!(used_position > Some(position), "{module} uses {used}");
        }
    }
}

#[test]
fn the_table_lists_every_module() {
    let files: BTreeSet<String> = fs::read_dir(source_folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "lib")
        .collect();
    assert_eq!(BTreeSet::from_iter(modules_in_table()), files);
}
