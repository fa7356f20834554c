//! Which functions open a transaction of their own, without the check of a caller.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use crate::support::source_files;

/// The functions that may: their requests have no caller, or there is no request, or they change nothing that a revoked
/// credential must not change. Every other change goes through `Caller::transaction`.
const WITHOUT_CALLER: [&str; 29] = [
    // `Caller::transaction` itself.
    "auth/change.rs transaction",
    "auth/change.rs idempotent_transaction",
    // Count attempts; the transaction of the change checks the caller.
    "users/recheck.rs check_password",
    "http/idempotency/mod.rs begin",
    // A password, a mailed link or a refresh token is the credential, and is used up in the same transaction.
    "account/email/routes.rs confirm_email_change",
    "account/email/routes.rs revert_email_change",
    "account/password/operations.rs reset",
    "account/password/routes.rs forget_password",
    "account/registration/operations.rs register",
    "account/registration/operations.rs verify_email",
    "account/registration/routes.rs resend_verification",
    "sessions/operations/login.rs log_in",
    "sessions/operations/login.rs record_attempt",
    "sessions/operations/login.rs record_rollback",
    "sessions/operations/login.rs refuse",
    "sessions/operations/login.rs retract",
    "sessions/routes.rs log_out",
    "sessions/routes.rs refresh_session",
    // Background work and the command line.
    "api_keys/usage.rs flush",
    "app/retention.rs sweep_table",
    "app/worker.rs write_audit_counts",
    "app/worker.rs register_keys",
    "app/worker.rs remind",
    "cli/user.rs change",
    "cli/user.rs create",
    "db/migrations.rs migrate",
    "notifications/email/outbox/mod.rs claim",
    "notifications/email/outbox/mod.rs record",
    "notifications/email/outbox/mod.rs release",
];

/// Finds calls of `transaction` on anything but a caller.
#[derive(Default)]
struct OwnTransactions {
    function: String,
    found: BTreeSet<String>,
}

/// The first variable of a chain of method calls and fields: `caller` of `caller.locking(…).transaction(…)`.
fn root(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::MethodCall(call) => root(&call.receiver),
        syn::Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for OwnTransactions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.function = signature.ident.to_string();
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let is_transaction = call.method == "transaction" || call.method == "idempotent_transaction";
        if is_transaction && root(&call.receiver).as_deref() != Some("caller") {
            self.found.insert(self.function.clone());
        }
        visit::visit_expr_method_call(self, call);
    }
}

fn own_transactions(code: &str) -> BTreeSet<String> {
    let mut functions = OwnTransactions::default();
    functions.visit_file(&syn::parse_file(code).unwrap());
    functions.found
}

#[test]
fn only_these_functions_open_a_transaction_without_a_caller() {
    let mut found = BTreeSet::new();
    for (file, code) in source_files() {
        found.extend(
            own_transactions(&code)
                .iter()
                .map(|function| format!("{file} {function}")),
        );
    }
    let expected: BTreeSet<String> = WITHOUT_CALLER.map(ToOwned::to_owned).into();
    assert_eq!(found, expected);
}

#[test]
fn a_transaction_without_a_caller_is_found() {
    let found = |statement: &str| !own_transactions(&format!("fn f() {{ {statement}; }}")).is_empty();
    assert!(found(
        "state.db.transaction(caller.now(), move |tx| delete(tx, &caller))"
    ));
    assert!(found("self.db.transaction(now, work)"));
    assert!(!found("caller.transaction(&state, work)"));
    assert!(!found(
        "caller.locking(lock).idempotent_transaction(&state, idempotent, work)"
    ));
}
