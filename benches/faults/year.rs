//! A database after years is swept for the first time: each statement must be short, and none may read the rows that stay.

use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use embedded_postgres::{EmbeddedPostgres, Options};
use keyward::app::retention;
use keyward::config::Config;
use keyward::db::sweep::BATCH;
use keyward::db::{migrations, transaction};
use secrecy::ExposeSecret as _;

/// How long a statement may take, once no other process uses the cores.
const LIMIT: Duration = Duration::from_millis(100);

/// Fills a database with `rows` rows per table, and deletes what has ended.
pub fn run(rows: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-year-").tempdir().unwrap();
    let server = EmbeddedPostgres::start(&Options::new(folder.path()).name("keyward")).unwrap();
    let url = server.database_url();
    migrations::migrate(url).unwrap();
    let mut connection = PgConnection::establish(url.expose_secret()).unwrap();
    connection
        .batch_execute(&format!(
            "SET keyward.rows = {rows}; SET plan_cache_mode = 'force_generic_plan'"
        ))
        .unwrap();
    connection.batch_execute(include_str!("aged.sql")).unwrap();
    connection.batch_execute("VACUUM ANALYZE").unwrap();
    let config = Config::from_environment([]).unwrap();
    let (mut deleted, mut slowest, mut slowest_table) = (0, Duration::ZERO, "");
    let started = Instant::now();
    for sweep in retention::sweeps() {
        let retention = (sweep.retention)(&config).unwrap();
        loop {
            let began = Instant::now();
            let batch = transaction(&mut connection, Utc::now(), |tx| sweep.delete_batch(tx, retention)).unwrap();
            if began.elapsed() > slowest {
                (slowest, slowest_table) = (began.elapsed(), sweep.table);
            }
            deleted += batch;
            if batch < BATCH {
                break;
            }
        }
    }
    println!(
        "year: {deleted} of {rows} rows in each table deleted in {} s; slowest batch {} ms, of {slowest_table} (limit: {} ms)",
        started.elapsed().as_secs(),
        slowest.as_millis(),
        LIMIT.as_millis()
    );
    server.stop().unwrap();
    slowest <= LIMIT
}
