//! Every table has a retention or a bound, and every sweep reads only the rows that it deletes.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl as _};
use keyward::app::retention::{self, Growth};

use crate::support::TestApp;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[actix_web::test]
async fn every_table_has_a_retention_or_a_bound() {
    let app = TestApp::start();
    let rows: Vec<Line> = diesel::sql_query(
        "SELECT relname::text AS line FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '\\_\\_%'",
    )
    .load(&mut app.connect())
    .unwrap();
    let database: BTreeSet<&str> = rows.iter().map(|row| row.line.as_str()).collect();
    let code: BTreeSet<&str> = retention::TABLES.iter().map(|(table, _)| *table).collect();
    assert_eq!(code, database);
    assert_eq!(code.len(), retention::TABLES.len(), "a table is listed twice");
    for (table, growth) in retention::TABLES {
        match growth {
            Growth::Swept(sweeps) => assert!(!sweeps.is_empty() && sweeps.iter().all(|sweep| sweep.table == *table)),
            Growth::Bounded(reason) => assert!(!reason.is_empty(), "{table}"),
        }
    }
}

/// The plan of a statement with the parameter `$1`, made like the service's: the same for every value.
fn plan(connection: &mut PgConnection, statement: &str) -> String {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        step: String,
    }
    connection
        .batch_execute(&format!(
            "SET plan_cache_mode = 'force_generic_plan'; DEALLOCATE ALL; PREPARE sweep (timestamptz) AS {statement}"
        ))
        .unwrap();
    let steps: Vec<Step> = diesel::sql_query("EXPLAIN EXECUTE sweep (now())")
        .load(connection)
        .unwrap();
    steps.into_iter().map(|step| step.step + "\n").collect()
}

#[actix_web::test]
async fn every_sweep_finds_its_rows_by_an_index() {
    let app = TestApp::start();
    let mut connection = app.connect();
    connection.batch_execute("SET keyward.rows = 5000").unwrap();
    connection
        .batch_execute(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/faults/aged.sql"
        )))
        .unwrap();
    connection.batch_execute("ANALYZE").unwrap();
    for sweep in retention::sweeps() {
        let plan = plan(&mut connection, &sweep.statement());
        assert!(
            !plan.contains("Seq Scan") && !plan.contains("Sort"),
            "{}\n{plan}",
            sweep.table
        );
    }
    // A condition without an index is recognised.
    let unindexed = retention::sweeps()
        .next()
        .unwrap()
        .statement()
        .replace("expires_at", "sent_at");
    assert!(plan(&mut connection, &unindexed).contains("Seq Scan"));
}

#[actix_web::test]
async fn a_sweep_leaves_no_row_whose_retention_has_ended() {
    let app = TestApp::start();
    let mut connection = app.connect();
    connection.batch_execute("SET keyward.rows = 2000").unwrap();
    connection
        .batch_execute(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/faults/aged.sql"
        )))
        .unwrap();
    retention::sweep(&app.state).await.unwrap();
    // 2,000 rows in 800 days are 2.5 a day.
    let rows = |table: &str| app.number(&format!("SELECT count(*) FROM {table}"));
    let in_half_days = |half_days: i64| 5 * half_days / 4;
    for (table, at_most, at_least) in [
        (
            "users WHERE email_verified_at IS NULL",
            in_half_days(15),
            in_half_days(13),
        ),
        ("registrations", in_half_days(3), in_half_days(1)),
        ("released_usernames", in_half_days(61), in_half_days(59)),
        ("invitations", in_half_days(375), in_half_days(373)),
        ("join_requests", in_half_days(363), in_half_days(361)),
        (
            "sessions WHERE ended_at IS NOT NULL",
            in_half_days(91),
            in_half_days(89),
        ),
        ("sessions WHERE ended_at IS NULL", in_half_days(181), in_half_days(179)),
        ("password_attempts", 1, 0),
        ("email_changes", in_half_days(363), in_half_days(361)),
        ("one_time_tokens", in_half_days(75), in_half_days(73)),
        ("api_key_usage", in_half_days(183), in_half_days(177)),
        ("api_key_reminders", 0, 0),
        (
            "notifications WHERE read_at IS NOT NULL",
            in_half_days(181),
            in_half_days(179),
        ),
        (
            "notifications WHERE read_at IS NULL",
            in_half_days(361),
            in_half_days(359),
        ),
        ("mail_requests", in_half_days(3), in_half_days(1)),
        ("mail_outbox", in_half_days(3), in_half_days(1)),
        ("audit_log", in_half_days(802), in_half_days(798)),
        ("idempotency_keys", in_half_days(3), in_half_days(1)),
    ] {
        let rows = rows(table);
        assert!(
            (at_least..=at_most).contains(&rows),
            "{table}: {rows}, not {at_least} to {at_most}"
        );
    }
}
