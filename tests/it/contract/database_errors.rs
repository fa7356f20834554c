//! No code discards the error of a database call: a lost or locked database must be 503, never a wrong 401, 404 or 410.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use crate::support::source_files;

/// Finds expressions that replace every error of a database call by something else.
#[derive(Default)]
struct DiscardedErrors {
    function: String,
    found: Vec<String>,
}

/// Whether an expression is the result of a call that gets a connection. After `?` it is not: the error has been passed on.
fn is_database_result(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Await(expression) => is_database_result(&expression.base),
        syn::Expr::Paren(expression) => is_database_result(&expression.expr),
        syn::Expr::Call(call) => call.args.iter().any(is_connection),
        syn::Expr::MethodCall(call) => {
            let is_database_call =
                call.args.iter().any(is_connection) || ["read", "transaction"].iter().any(|name| call.method == name);
            let keeps_error = ["map", "and_then", "inspect"].iter().any(|name| call.method == name);
            is_database_call || (keeps_error && is_database_result(&call.receiver))
        }
        _ => false,
    }
}

fn is_connection(argument: &syn::Expr) -> bool {
    match argument {
        syn::Expr::Path(path) => ["tx", "conn", "connection"].iter().any(|name| path.path.is_ident(name)),
        syn::Expr::Field(field) => is_connection(&field.base),
        syn::Expr::Reference(reference) => is_connection(&reference.expr),
        _ => false,
    }
}

/// Whether a closure ignores its argument: `|_| …`.
fn ignores_argument(closure: &syn::Expr) -> bool {
    matches!(closure, syn::Expr::Closure(closure) if matches!(closure.inputs.first(), Some(syn::Pat::Wild(_))))
}

/// Whether a pattern matches every error: `Err(_)`, `Err(..)`.
fn matches_every_error(pattern: &syn::Pat) -> bool {
    matches!(pattern, syn::Pat::TupleStruct(pattern) if pattern.path.is_ident("Err")
        && pattern.elems.iter().all(|element| matches!(element, syn::Pat::Wild(_) | syn::Pat::Rest(_))))
}

impl DiscardedErrors {
    fn add(&mut self, what: &str) {
        self.found.push(format!("{}: {what}", self.function));
    }
}

impl<'ast> Visit<'ast> for DiscardedErrors {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.function = signature.ident.to_string();
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        let discards = match method.as_str() {
            "ok" | "is_ok" | "is_err" | "is_ok_and" | "unwrap_or" | "unwrap_or_default" => true,
            "map_err" | "or_else" | "unwrap_or_else" | "map_or_else" => call.args.iter().any(ignores_argument),
            _ => false,
        };
        if discards && is_database_result(&call.receiver) {
            self.add(&method);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        if is_database_result(&expression.expr)
            && expression
                .arms
                .iter()
                .any(|arm| arm.guard.is_none() && matches_every_error(&arm.pat))
        {
            self.add("match with Err(_)");
        }
        visit::visit_expr_match(self, expression);
    }

    fn visit_expr_let(&mut self, expression: &'ast syn::ExprLet) {
        let binds_success = matches!(&*expression.pat, syn::Pat::TupleStruct(pattern) if pattern.path.is_ident("Ok"));
        if binds_success && is_database_result(&expression.expr) {
            self.add("let Ok(…)");
        }
        visit::visit_expr_let(self, expression);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Wild(_), Some(init)) = (&local.pat, &local.init)
            && is_database_result(&init.expr)
        {
            self.add("let _");
        }
        visit::visit_local(self, local);
    }
}

fn discarded_errors(code: &str) -> Vec<String> {
    let mut errors = DiscardedErrors::default();
    errors.visit_file(&syn::parse_file(code).unwrap());
    errors.found
}

#[test]
fn no_error_of_a_database_call_is_discarded() {
    let mut found = BTreeSet::new();
    for (file, code) in source_files() {
        found.extend(discarded_errors(&code).iter().map(|error| format!("{file}: {error}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn discarded_errors_are_found() {
    let discards = [
        "users::lock(tx, id).map_err(|_| invalid())?",
        "users.load(tx.conn).ok()",
        "state.db.read(now, find).await.unwrap_or_default()",
        "match store::find(tx, id) { Ok(user) => Some(user), Err(_) => None }",
        "if let Ok(user) = store::find(&mut tx, id) {}",
        "{ let _ = store::delete(tx, id); }",
    ];
    for code in discards {
        assert_eq!(discarded_errors(&format!("fn f() {{ {code}; }}")).len(), 1, "{code}");
    }
    let keeps = [
        "users::lock(tx, id).map_err(|error| error.if_not_found(code))?",
        "store::find(tx, id)?.unwrap_or_default()",
        "text.parse().map_err(|_| invalid())?",
    ];
    for code in keeps {
        assert!(discarded_errors(&format!("fn f() {{ {code}; }}")).is_empty(), "{code}");
    }
}
