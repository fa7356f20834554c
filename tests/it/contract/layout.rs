//! The layout of `src/`: which module may import which, which files may use actix and diesel, which module writes a table.
//!
//! The order of the modules is the table in the documentation of `src/lib.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{ModulePath, SourceTree, source_folder};

#[track_caller]
fn assert_none(found: &BTreeSet<String>, violation: &str) {
    assert!(found.is_empty(), "{violation}: {found:#?}");
}

fn name(path: &ModulePath) -> String {
    path.join("::")
}

/// The rows of the table in `src/lib.rs`, from the top: the modules in each.
fn documented_order() -> Vec<Vec<ModulePath>> {
    let text = std::fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.map(|row| {
        let cell = row.split(" | ").next().unwrap();
        let names = cell.split(['[', ']', '`', ',', ' ']).filter(|name| !name.is_empty());
        names
            .map(|name| name.split("::").map(ToOwned::to_owned).collect())
            .collect()
    })
    .collect()
}

/// The entry of the table that a module belongs to: the longest path that it begins with, and its row.
fn entry_of<'a>(order: &'a [Vec<ModulePath>], module: &ModulePath) -> Option<(usize, &'a ModulePath)> {
    let rows = order.iter().enumerate();
    rows.flat_map(|(row, entries)| entries.iter().map(move |entry| (row, entry)))
        .filter(|(_, entry)| module.starts_with(entry))
        .max_by_key(|(_, entry)| entry.len())
}

#[test]
fn the_table_in_lib_rs_has_every_module_once() {
    let tree = SourceTree::read();
    let entries: Vec<ModulePath> = documented_order().concat();
    let unique: BTreeSet<&ModulePath> = entries.iter().collect();
    assert_eq!(unique.len(), entries.len(), "a module is listed twice");
    for entry in &entries {
        assert!(tree.modules.contains_key(entry), "{} does not exist", name(entry));
    }
    for module in tree.modules.keys().filter(|module| module.len() == 1) {
        assert!(unique.contains(module), "{} is not in the table", name(module));
    }
}

#[test]
fn the_functions_that_lib_rs_names_exist() {
    let text = std::fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let docs: String = text.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    // A file followed by a function: `api_keys/store.rs` `insert`.
    let spans: Vec<&str> = docs.split('`').collect();
    let mut checked = 0;
    for window in spans.windows(3).skip(1).step_by(2) {
        let [file, between, function] = window else {
            unreachable!()
        };
        if file.contains(".rs") && between.trim().is_empty() {
            let source =
                std::fs::read_to_string(source_folder().join(file)).unwrap_or_else(|_| panic!("{file} does not exist"));
            assert!(
                source.contains(&format!("fn {function}")),
                "{file} has no function {function}"
            );
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked}");
}

#[test]
fn modules_import_only_modules_below_them() {
    let tree = SourceTree::read();
    let order = documented_order();
    let mut upward = BTreeSet::new();
    for module in tree.modules.keys().filter(|module| !module.is_empty()) {
        let (own_row, own_entry) = entry_of(&order, module).unwrap();
        for target in tree.dependencies(module) {
            let Some((row, entry)) = entry_of(&order, &target) else {
                continue;
            };
            if entry != own_entry && row <= own_row {
                upward.insert(format!("{} -> {}", name(module), name(&target)));
            }
        }
    }
    assert_none(&upward, "imports of modules that are not below, by the table in lib.rs");
}

#[test]
fn files_in_a_folder_do_not_import_each_other_in_cycles() {
    let tree = SourceTree::read();
    let mut cycles = BTreeSet::new();
    for folder in tree.modules.keys().filter(|module| !module.is_empty()) {
        // A subfolder is one node: a cycle through two subfolders is a cycle as well.
        let node = |module: &ModulePath| {
            let end = module.len().min(folder.len() + 1);
            module.starts_with(folder).then(|| module[..end].to_vec())
        };
        let mut edges: BTreeMap<ModulePath, BTreeSet<ModulePath>> = BTreeMap::new();
        for (module, from) in tree.modules.keys().filter_map(|module| Some((module, node(module)?))) {
            let targets = tree
                .dependencies(module)
                .iter()
                .filter_map(node)
                .collect::<BTreeSet<_>>();
            edges
                .entry(from.clone())
                .or_default()
                .extend(targets.into_iter().filter(|to| *to != from));
        }
        for (from, targets) in &edges {
            for to in targets {
                if reaches(&edges, to, from) {
                    cycles.insert(format!("{} -> {}", name(from), name(to)));
                }
            }
        }
    }
    assert_none(&cycles, "imports in cycles");
}

fn reaches(edges: &BTreeMap<ModulePath, BTreeSet<ModulePath>>, from: &ModulePath, to: &ModulePath) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            waiting.extend(edges.get(module).into_iter().flatten());
        }
    }
    false
}

#[test]
fn rules_and_queries_know_no_http_and_routes_know_no_database() {
    let tree = SourceTree::read();
    let mut broken = BTreeSet::new();
    for (path, module) in &tree.modules {
        let file = module.file.to_str().unwrap();
        let own_name = path.last().map_or("", String::as_str);
        let is_in = |folder: &str| path.iter().rev().skip(1).any(|parent| parent == folder);
        let is_rules = own_name.starts_with("operations") || own_name == "model" || is_in("operations");
        let is_routes = module.attributes.contains("utoipa::path") || own_name == "routes" || is_in("routes");
        // The attribute of a row type names its table, too; that makes no query.
        let is_store = tree.names(path, &["crate", "db", "schema"]) && !path.starts_with(&["db".to_owned()]);
        let mut forbid = |kind: &str, uses: &str, beginning: &[&str]| {
            if tree.names(path, beginning) {
                broken.insert(format!("{file}: {kind} use {uses}"));
            }
        };
        if is_rules {
            forbid("rules", "actix", &["actix_web"]);
            forbid("rules", "http", &["crate", "http"]);
            forbid("rules", "the schema", &["crate", "db", "schema"]);
        }
        if is_routes {
            forbid("routes", "diesel", &["diesel"]);
            forbid("routes", "the schema", &["crate", "db", "schema"]);
        }
        if is_store {
            forbid("queries", "actix", &["actix_web"]);
            forbid("queries", "http", &["crate", "http"]);
        }
    }
    assert_none(&broken, "files that use what their kind must not");
}

#[test]
fn each_table_is_written_by_one_module() {
    let tree = SourceTree::read();
    let schema = std::fs::read_to_string(source_folder().join("db/schema.rs")).unwrap();
    let tables: BTreeSet<&str> = schema
        .split("diesel::table! {")
        .skip(1)
        .map(|table| table.trim_start().split([' ', '.']).next().unwrap())
        .collect();
    let mut writers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for path in tree.modules.keys() {
        // The folder that has the store: `api_keys` for `api_keys/store/list.rs` and for `api_keys/usage.rs`.
        let store = path.iter().position(|segment| segment == "store");
        let owner = path[..store.unwrap_or(path.len().saturating_sub(1))].to_vec();
        for table in tree.written_tables(path).filter(|table| tables.contains(table)) {
            writers.entry(table).or_default().insert(name(&owner));
        }
    }
    let unwritten: Vec<_> = tables.iter().filter(|table| !writers.contains_key(*table)).collect();
    assert!(unwritten.is_empty(), "tables that no module writes: {unwritten:?}");
    let mut second = BTreeSet::new();
    for (table, modules) in writers.iter().filter(|(_, modules)| modules.len() > 1) {
        second.extend(modules.iter().map(|module| format!("{table}: {module}")));
    }
    assert_none(&second, "tables with several writers");
}
