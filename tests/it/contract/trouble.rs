//! A database in trouble: every operation of the document succeeds or is refused with 503 and `Retry-After`.
//!
//! Each test also lists the operations that still succeed, so that one that forgets to write would be noticed.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use futures_util::future::join_all;

use crate::support::{Fixture, Operation, TestApp, wait_until};

/// All tables of the schema but diesel's own, in SQL.
const FOR_EACH_TABLE: &str = "SELECT relname AS name FROM pg_class \
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> '__diesel_schema_migrations'";

/// Operations that never use the database.
const WITHOUT_DATABASE: [&str; 9] = [
    "checkPassword",
    "getCapabilities",
    "getJwks",
    "getLivez",
    "getOpenapi",
    "getPasswordPolicy",
    "getProblem",
    "getProtectedResource",
    "listScopes",
];

/// Operations that are not GET and change nothing.
const VERIFYING: [&str; 3] = ["checkPassword", "introspectToken", "verifyApiKey"];

/// Every operation but the endless stream.
fn operations() -> Vec<Operation> {
    let mut operations = Operation::all();
    operations.retain(|operation| operation.id != "streamNotifications");
    operations
}

/// Calls every operation at the same time and returns those that succeed.
///
/// # Panics
/// If a response is neither a success nor 503 with `Retry-After`.
async fn call_all(app: &TestApp, fixture: &Fixture) -> BTreeSet<String> {
    let calls = operations().into_iter().map(|operation| async move {
        let reply = fixture.valid_call(app, &operation).await;
        let is_success = (200..300).contains(&reply.status);
        let is_expected = is_success || (reply.status == 503 && reply.header("retry-after").is_some());
        let outcome = if is_expected { Ok(is_success) } else { Err(reply.text()) };
        (operation, outcome)
    });
    let mut successes = BTreeSet::new();
    let mut wrong = Vec::new();
    for (operation, outcome) in join_all(calls).await {
        match outcome {
            Ok(true) => drop(successes.insert(operation.id)),
            Ok(false) => {}
            Err(problem) => wrong.push(format!("{operation}: {problem}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    successes
}

/// Enough connections that no call has to wait for another one's.
fn start() -> TestApp {
    TestApp::start_with(&[("KEYWARD_DB_POOL_SIZE", "100"), ("KEYWARD_RATE_LIMITS", "off")])
}

/// The ids of all operations that only read, and of `others`. An export writes an audit record.
fn reading_operations_and(others: &[&str]) -> BTreeSet<String> {
    let is_recorded = |operation: &Operation| operation.id == "exportMe";
    let reading = operations()
        .into_iter()
        .filter(|operation| operation.method == "GET" && !is_recorded(operation));
    let others = others.iter().map(|id| (*id).to_owned());
    reading.map(|operation| operation.id).chain(others).collect()
}

#[actix_web::test]
async fn without_a_database_every_operation_that_needs_it_is_503() {
    let app = start();
    let fixture = Fixture::create(&app).await;
    app.database()
        .run_outside("ALTER DATABASE $DATABASE WITH ALLOW_CONNECTIONS false");
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    let expected: BTreeSet<String> = WITHOUT_DATABASE.map(ToOwned::to_owned).into();
    assert_eq!(call_all(&app, &fixture).await, expected);
}

#[actix_web::test]
async fn on_a_read_only_database_reading_and_verifying_works_and_the_rest_is_503() {
    let app = start();
    let fixture = Fixture::create(&app).await;
    app.database()
        .run_outside("ALTER DATABASE $DATABASE SET default_transaction_read_only = on");
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    wait_until(Duration::from_secs(10), async || {
        app.get("/me").bearer(&fixture.admin.access_token).await.status == 200
    })
    .await;
    assert_eq!(call_all(&app, &fixture).await, reading_operations_and(&VERIFYING));
}

/// Runs a PL/pgSQL statement before each change of a table.
fn before_each_change(app: &TestApp, statement: &str) {
    app.sql(&format!(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN NULL; END $$; \
         DO $$ DECLARE found record; BEGIN FOR found IN {FOR_EACH_TABLE} LOOP \
             EXECUTE format('CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON %I EXECUTE FUNCTION fail()', found.name); \
         END LOOP; END $$"
    ));
}

#[actix_web::test]
async fn without_disk_space_reading_and_verifying_works_and_the_rest_is_503() {
    let app = start();
    let fixture = Fixture::create(&app).await;
    let message = "could not extend file \"base/1/2\": No space left on device";
    before_each_change(
        &app,
        &format!("RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = '{message}'"),
    );
    assert_eq!(call_all(&app, &fixture).await, reading_operations_and(&VERIFYING));
}

#[actix_web::test]
async fn while_connections_are_killed_in_transactions_these_are_503() {
    let app = start();
    let fixture = Fixture::create(&app).await;
    before_each_change(&app, "PERFORM pg_terminate_backend(pg_backend_pid())");
    assert_eq!(call_all(&app, &fixture).await, reading_operations_and(&VERIFYING));
}

#[actix_web::test]
async fn while_all_rows_are_locked_reading_and_verifying_works_and_the_rest_is_503() {
    let app = start();
    let fixture = Fixture::create(&app).await;
    let mut lock = app.connect();
    // Conflicts with every change and with every row lock, not with reading.
    lock.batch_execute(&format!(
        "BEGIN; DO $$ DECLARE found record; BEGIN FOR found IN {FOR_EACH_TABLE} LOOP \
             EXECUTE format('LOCK TABLE %I IN EXCLUSIVE MODE', found.name); \
         END LOOP; END $$"
    ))
    .unwrap();
    assert_eq!(call_all(&app, &fixture).await, reading_operations_and(&VERIFYING));
}
