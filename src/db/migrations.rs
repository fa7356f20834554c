//! Applies the migrations in `migrations/`, which are embedded in the program.

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::Error;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Key of the advisory lock that makes instances which start at the same time migrate one after the other. The number
/// has no meaning.
const LOCK_KEY: i64 = 0x006b_6579_7761_7264;

/// Applies the pending migrations. Any number of instances may call it at once.
///
/// # Errors
/// The database cannot be reached, or a migration fails.
pub fn migrate(url: &SecretString) -> Result<(), Error> {
    let mut connection = PgConnection::establish(url.expose_secret()).map_err(Error::unavailable)?;
    connection.batch_execute(&format!("SELECT pg_advisory_lock({LOCK_KEY})"))?;
    // Closing the connection releases the lock, on errors too.
    let applied = connection.run_pending_migrations(MIGRATIONS).map_err(Error::internal)?;
    for version in applied {
        tracing::info!(%version, "migration applied");
    }
    Ok(())
}

/// Whether no migration of this program is pending.
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
    // `has_pending_migration` creates the table if it is missing, which a probe must not do.
    Ok(found.exists && !connection.has_pending_migration(MIGRATIONS).map_err(Error::internal)?)
}
