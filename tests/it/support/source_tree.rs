//! The modules of `src/`, parsed with syn: which paths each one names, and in which module those are defined.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The path of a module below the crate, such as `["api_keys", "store"]`.
pub type ModulePath = Vec<String>;

/// A module. Code under `#[cfg(test)]` is left out.
#[derive(Debug, Default)]
pub struct Module {
    /// Relative to `src/`.
    pub file: PathBuf,
    /// What `use` declarations name, by the local name; `*` for globs.
    imports: Vec<Import>,
    /// Paths in code, including those in the arguments of macros.
    paths: BTreeSet<Vec<String>>,
    /// Paths in attributes.
    attribute_paths: BTreeSet<Vec<String>>,
    /// The paths of the attributes themselves, such as `utoipa::path`.
    pub attributes: BTreeSet<String>,
    children: BTreeSet<String>,
    /// The tables that the module inserts into, updates or deletes from, by their local names.
    written_tables: BTreeSet<String>,
}

#[derive(Debug)]
struct Import {
    name: String,
    path: Vec<String>,
    is_public: bool,
}

/// All modules of the crate.
#[derive(Debug)]
pub struct SourceTree {
    pub modules: BTreeMap<ModulePath, Module>,
}

impl SourceTree {
    pub fn read() -> Self {
        let mut tree = Self {
            modules: BTreeMap::new(),
        };
        tree.read_file(Vec::new(), Path::new("lib.rs"));
        tree
    }

    fn read_file(&mut self, path: ModulePath, file: &Path) {
        let text = std::fs::read_to_string(source_folder().join(file)).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut reader = ModuleReader {
            module: Module {
                file: file.to_owned(),
                ..Module::default()
            },
            ..ModuleReader::default()
        };
        reader.visit_file(&parsed);
        let folder = match file.file_stem().unwrap().to_str().unwrap() {
            "lib" | "mod" => file.parent().unwrap().to_owned(),
            stem => file.with_file_name(stem),
        };
        for child in reader.files {
            let child_path = [path.clone(), vec![child.clone()]].concat();
            let flat = folder.join(format!("{child}.rs"));
            let nested = folder.join(&child).join("mod.rs");
            let found = if source_folder().join(&flat).exists() {
                flat
            } else {
                nested
            };
            self.read_file(child_path, &found);
        }
        self.modules.insert(path, reader.module);
    }

    /// The modules that define what a module names, without the module itself.
    ///
    /// A re-export (`pub use`) of what a module's own children define does not count: it is how a folder exports.
    pub fn dependencies(&self, of: &ModulePath) -> BTreeSet<ModulePath> {
        let module = &self.modules[of];
        let imports = module.imports.iter().filter_map(|import| {
            let target = self.resolve(of, &import.path, 0)?;
            let is_export = import.is_public && target.starts_with(of);
            (!is_export).then_some(target)
        });
        let paths = module
            .paths
            .iter()
            .chain(&module.attribute_paths)
            .filter_map(|path| self.resolve(of, path, 0));
        imports.chain(paths).filter(|target| target != of).collect()
    }

    /// Whether a module names something outside of the crate or in it, by the beginning of its path: `["actix_web"]`,
    /// `["crate", "db", "schema"]`. Attributes do not count.
    pub fn names(&self, of: &ModulePath, beginning: &[&str]) -> bool {
        let module = &self.modules[of];
        let starts = |path: &Vec<String>| {
            let full = self.absolute(of, path);
            full.len() >= beginning.len()
                && full
                    .iter()
                    .zip(beginning)
                    .all(|(segment, expected)| segment == expected)
        };
        module.imports.iter().any(|import| starts(&import.path)) || module.paths.iter().any(starts)
    }

    /// The tables that a module inserts into, updates or deletes from, with diesel or in SQL.
    pub fn written_tables(&self, of: &ModulePath) -> impl Iterator<Item = &str> {
        let module = &self.modules[of];
        module.written_tables.iter().map(|local| {
            let import = module.imports.iter().find(|import| import.name == *local);
            import.map_or(local.as_str(), |import| import.path.last().unwrap())
        })
    }

    /// A path of this crate beginning with `crate`, or one of another crate.
    fn absolute(&self, of: &ModulePath, path: &[String]) -> Vec<String> {
        let crate_path = |module: &[String]| [vec!["crate".to_owned()], module.to_vec()].concat();
        let mut base = of.clone();
        let mut rest = path;
        match path[0].as_str() {
            "crate" => return path.to_vec(),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let module = &self.modules[of];
                if let Some(import) = module.imports.iter().find(|import| import.name == first)
                    && import.path[0] != first
                {
                    return [self.absolute(of, &import.path), path[1..].to_vec()].concat();
                }
                if !module.children.contains(first) {
                    return path.to_vec();
                }
            }
        }
        [crate_path(&base), rest.to_vec()].concat()
    }

    /// The module that defines what a path names; `None` for paths of other crates.
    fn resolve(&self, of: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let absolute = self.absolute(of, path);
        if absolute[0] != "crate" || depth > 20 {
            return None;
        }
        let mut module = Vec::new();
        for (index, segment) in absolute.iter().enumerate().skip(1) {
            let current = self.modules.get(&module)?;
            if current.children.contains(segment) {
                module.push(segment.clone());
                continue;
            }
            let Some(import) = current.imports.iter().find(|import| import.name == *segment) else {
                // Not a module and not imported: defined here. `#[macro_export]` puts macros into the root of the crate.
                return (!module.is_empty()).then_some(module);
            };
            let rest = [import.path.clone(), absolute[index + 1..].to_vec()].concat();
            return self.resolve(&module, &rest, depth + 1);
        }
        Some(module)
    }
}

pub fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The path relative to `src/` and the text of every file with code.
pub fn source_files() -> Vec<(String, String)> {
    let (mut files, mut folders) = (Vec::new(), vec![source_folder()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(source_folder()).unwrap().display().to_string();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

#[derive(Default)]
struct ModuleReader {
    module: Module,
    /// Modules in files of their own.
    files: Vec<String>,
    /// The tables that local variables of the current function are queries on.
    query_variables: BTreeMap<String, String>,
}

impl ModuleReader {
    fn import(&mut self, tree: &syn::UseTree, prefix: &[String], is_public: bool) {
        let extended = |name: &syn::Ident| [prefix.to_vec(), vec![name.to_string()]].concat();
        let mut add = |name: String, path: Vec<String>| self.module.imports.push(Import { name, path, is_public });
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &extended(&path.ident), is_public),
            syn::UseTree::Name(leaf) if leaf.ident == "self" => {
                add(prefix.last().unwrap().clone(), prefix.to_vec());
            }
            syn::UseTree::Name(leaf) => add(leaf.ident.to_string(), extended(&leaf.ident)),
            syn::UseTree::Rename(rename) => add(rename.rename.to_string(), extended(&rename.ident)),
            syn::UseTree::Glob(_) => add("*".to_owned(), prefix.to_vec()),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix, is_public);
                }
            }
        }
    }

    /// The table that an expression is a query on: the first `x::table` in it, or the table of a variable that it begins with.
    fn table_of(&self, expression: &syn::Expr) -> Option<String> {
        let mut finder = TableFinder::default();
        finder.visit_expr(expression);
        finder.table.or_else(|| {
            finder
                .names
                .iter()
                .find_map(|name| self.query_variables.get(name).cloned())
        })
    }
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .meta
                .require_list()
                .is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for ModuleReader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test_only(&item.attrs) {
            return;
        }
        if item.content.is_some() {
            // Small modules in another one's file, such as a `serde(with = …)`, count as part of it.
            return visit::visit_item_mod(self, item);
        }
        self.module.children.insert(item.ident.to_string());
        self.files.push(item.ident.to_string());
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test_only(&item.attrs) {
            self.query_variables.clear();
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test_only(&item.attrs) {
            self.import(&item.tree, &[], !matches!(item.vis, syn::Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string());
            self.module.paths.insert(segments.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        collect_paths(&called.tokens, &mut self.module.paths);
        collect_written_tables(&called.tokens.to_string(), &mut self.module.written_tables);
        visit::visit_macro(self, called);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let segments = attribute
            .path()
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.module.attributes.insert(segments.collect::<Vec<_>>().join("::"));
        if let syn::Meta::List(list) = &attribute.meta {
            collect_paths(&list.tokens, &mut self.module.attribute_paths);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init)
            && let Some(table) = self.table_of(&init.expr)
        {
            self.query_variables.insert(name.ident.to_string(), table);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            let name = function.path.segments.last().unwrap().ident.to_string();
            let is_write = matches!(name.as_str(), "insert_into" | "update" | "delete" | "replace_into");
            if is_write && let Some(table) = call.args.first().and_then(|target| self.table_of(target)) {
                self.module.written_tables.insert(table);
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        collect_written_tables(&literal.value(), &mut self.module.written_tables);
    }
}

#[derive(Default)]
struct TableFinder {
    table: Option<String>,
    names: Vec<String>,
}

impl<'ast> Visit<'ast> for TableFinder {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        match segments.as_slice() {
            [.., table, last] if last == "table" => {
                self.table.get_or_insert_with(|| table.clone());
            }
            [name] => self.names.push(name.clone()),
            _ => {}
        }
        visit::visit_path(self, path);
    }
}

/// Finds the tables that SQL in a string writes.
fn collect_written_tables(sql: &str, tables: &mut BTreeSet<String>) {
    let words: Vec<&str> = sql
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        if let ["INSERT", "INTO", table, ..]
        | ["DELETE", "FROM", table, ..]
        | ["UPDATE", table, "SET", ..]
        | ["UPDATE", table, _, "SET", ..]
        | ["UPDATE", table, "AS", _, "SET", ..] = rest
        {
            tables.insert((*table).to_owned());
        }
        rest = &rest[1..];
    }
}

/// Finds `a::b::c` in tokens, which syn does not parse inside of macros and attributes.
fn collect_paths(tokens: &TokenStream, paths: &mut BTreeSet<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    let mut finish = |path: &mut Vec<String>| {
        if path.len() > 1 {
            paths.insert(std::mem::take(path));
        }
        path.clear();
    };
    let mut groups = Vec::new();
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    finish(&mut path);
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            other => {
                finish(&mut path);
                colons = 0;
                if let TokenTree::Group(group) = other {
                    groups.push(group.stream());
                }
            }
        }
    }
    finish(&mut path);
    for group in groups {
        collect_paths(&group, paths);
    }
}
