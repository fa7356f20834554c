//! The schema's history, embedded in the program.

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::Error;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Under which advisory lock instances that start at once take turns; any constant will do.
const LOCK: i64 = 0x006b_6579_7761_7264;

/// Brings the database at `url` up to date. Safe to run from any number of instances at once.
///
/// # Errors
/// The database cannot be reached, or a migration fails.
pub fn migrate(url: &SecretString) -> Result<(), Error> {
    let mut connection = PgConnection::establish(url.expose_secret()).map_err(Error::unavailable)?;
    connection.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
    // The lock ends with the connection, whatever happens here.
    let applied = connection.run_pending_migrations(MIGRATIONS).map_err(Error::internal)?;
    for version in applied {
        tracing::info!(%version, "migrated");
    }
    Ok(())
}

/// Whether every migration of this program is applied.
///
/// # Errors
/// The database cannot be reached.
pub fn are_applied(connection: &mut PgConnection) -> Result<bool, Error> {
    #[derive(QueryableByName)]
    struct Exists {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        exists: bool,
    }
    let found: Exists = diesel::sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS exists")
        .get_result(connection)?;
    // Asking diesel for what is pending would create its table, which a probe must not.
    Ok(found.exists && !connection.has_pending_migration(MIGRATIONS).map_err(Error::internal)?)
}
