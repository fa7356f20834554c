//! Applies the migrations in `migrations/`, which are embedded in the program.

use std::collections::BTreeSet;

use diesel::connection::{CacheSize, SimpleConnection as _};
use diesel::migration::{Migration, MigrationSource as _, MigrationVersion};
use diesel::pg::{Pg, PgConnection};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use secrecy::{ExposeSecret as _, SecretString};

use super::pool::{CONNECT_OPTIONS, with_options};
use crate::error::Error;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Key of the advisory lock that makes instances which start at the same time migrate one after the other. The number
/// has no meaning.
const LOCK_KEY: i64 = 0x006b_6579_7761_7264;

/// For an operator, when an instance starts on such a schema.
pub const NEWER_SCHEMA: &str =
    "The schema of the database is newer than this version of Keyward. Start the newer version.";

/// The database, compared with the migrations of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Some migrations are not applied yet.
    Pending,
    Current,
    /// A newer version of the program has applied more.
    Newer,
}

/// Applies the pending migrations. Any number of instances may call it at once. A role that may not change the schema can
/// call it too, once nothing is pending.
///
/// # Errors
/// The database cannot be reached, is not encoded in UTF-8, or a migration fails.
pub fn migrate(url: &SecretString) -> Result<Schema, Error> {
    let url = with_options(url.expose_secret(), &CONNECT_OPTIONS);
    let mut connection = PgConnection::establish(&url).map_err(Error::unavailable)?;
    // A pooler may run each transaction in another session, which has other prepared statements.
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    check_encoding(&mut connection)?;
    match compare(&mut connection)? {
        Schema::Pending => {}
        schema => return Ok(schema),
    }
    // One transaction for all migrations: the lock and the timeouts end with it, behind a pooler too.
    connection.transaction(|connection| {
        connection.batch_execute(&format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
             SELECT pg_advisory_xact_lock({LOCK_KEY})"
        ))?;
        let applied = connection.run_pending_migrations(MIGRATIONS).map_err(Error::internal)?;
        for version in applied {
            tracing::info!(%version, "migration applied");
        }
        compare(connection)
    })
}

/// Compares the database with this program, without a change to it.
///
/// # Errors
/// The database cannot be reached.
pub fn compare(connection: &mut PgConnection) -> Result<Schema, Error> {
    let applied = applied(connection)?;
    let migrations: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(Error::internal)?;
    let own: BTreeSet<String> = migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    Ok(if !own.is_subset(&applied) {
        Schema::Pending
    } else if own == applied {
        Schema::Current
    } else {
        Schema::Newer
    })
}

/// The versions in diesel's table. Diesel's own functions create it if it is missing, which needs a privilege that the role of
/// a running service doesn't need to have, and a database that is not read-only.
fn applied(connection: &mut PgConnection) -> Result<BTreeSet<String>, Error> {
    #[derive(QueryableByName)]
    struct Exists {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        exists: bool,
    }
    #[derive(QueryableByName)]
    struct Applied {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }
    let found: Exists = diesel::sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS exists")
        .get_result(connection)?;
    if !found.exists {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<Applied> =
        diesel::sql_query("SELECT version::text FROM __diesel_schema_migrations").load(connection)?;
    Ok(rows
        .into_iter()
        .map(|row| MigrationVersion::from(row.version).to_string())
        .collect())
}

fn check_encoding(connection: &mut PgConnection) -> Result<(), Error> {
    #[derive(QueryableByName)]
    struct Encoding {
        #[diesel(sql_type = diesel::sql_types::Text)]
        encoding: String,
    }
    let found: Encoding =
        diesel::sql_query("SELECT current_setting('server_encoding') AS encoding").get_result(connection)?;
    if found.encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::unavailable(format!(
        "the database has the encoding {}, but must have UTF8: create it with ENCODING 'UTF8' TEMPLATE template0",
        found.encoding
    )))
}
