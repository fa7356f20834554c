//! One PostgreSQL server for all tests, and a database for each test.
//!
//! `TEST_DATABASE_URL` names an existing server, whose role must be allowed to create databases. Otherwise an embedded server is
//! started without durability; it is stopped and deleted when the test program ends, also when it is killed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _};
use embedded_postgres::{EmbeddedPostgres, Options};
use keyward::db::migrations;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

struct Server {
    url: String,
    template: String,
    /// Statics are never dropped; the shell script in `start_embedded` stops the server.
    _embedded: Option<EmbeddedPostgres>,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database, deleted on drop.
pub struct Database {
    pub url: SecretString,
    pub name: String,
    roles: Mutex<Vec<String>>,
}

/// A role that is not a superuser, and the URL with which it connects.
pub struct Role {
    pub name: String,
    pub url: SecretString,
}

impl Database {
    /// With all migrations applied.
    pub fn create() -> Self {
        let server = SERVER.get_or_init(Server::start);
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("keyward_test_{}_{number}", std::process::id());
        server.run(&format!("CREATE DATABASE {name} TEMPLATE {}", server.template));
        Self {
            url: SecretString::from(server.url_of(&name)),
            name,
            roles: Mutex::default(),
        }
    }

    /// Without tables.
    pub fn create_empty() -> Self {
        let server = SERVER.get_or_init(Server::start);
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("keyward_test_{}_{number}", std::process::id());
        server.run(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        Self {
            url: SecretString::from(server.url_of(&name)),
            name,
            roles: Mutex::default(),
        }
    }

    pub fn connect(&self) -> PgConnection {
        PgConnection::establish(self.url.expose_secret()).unwrap()
    }

    /// A new role without any privilege that is not granted to everyone. It is dropped with the database.
    pub fn create_role(&self, kind: &str) -> Role {
        let name = format!("{}_{kind}", self.name);
        self.run_outside(&format!("CREATE ROLE {name} LOGIN PASSWORD 'role-password'"));
        self.roles.lock().unwrap().push(name.clone());
        let mut url = Url::parse(self.url.expose_secret()).unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("role-password")).unwrap();
        Role {
            name,
            url: SecretString::from(String::from(url)),
        }
    }

    /// The URL of another database on the server; `$DATABASE` is the name of this one.
    pub fn url_of(&self, database: &str) -> SecretString {
        let name = database.replace("$DATABASE", &self.name);
        SecretString::from(SERVER.get().unwrap().url_of(&name))
    }

    /// Runs statements in the database `postgres`; `$DATABASE` is the name of this database.
    pub fn run_outside(&self, sql: &str) {
        SERVER.get().unwrap().run(&sql.replace("$DATABASE", &self.name));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        SERVER
            .get()
            .unwrap()
            .run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        for role in self.roles.lock().unwrap().iter() {
            self.run_outside(&format!("DROP ROLE {role}"));
        }
    }
}

impl Server {
    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only setting of the tests")]
        let (url, embedded) = match std::env::var("TEST_DATABASE_URL") {
            Ok(url) if !url.is_empty() => (url, None),
            _ => {
                let embedded = start_embedded();
                (embedded.database_url().expose_secret().to_owned(), Some(embedded))
            }
        };
        let mut server = Self {
            url,
            template: String::new(),
            _embedded: embedded,
        };
        server.template = server.make_template();
        server
    }

    fn url_of(&self, database: &str) -> String {
        let (path, query) = self
            .url
            .split_once('?')
            .map_or((self.url.as_str(), None), |(path, query)| (path, Some(query)));
        let (server, _) = path.rsplit_once('/').unwrap();
        query.map_or_else(
            || format!("{server}/{database}"),
            |query| format!("{server}/{database}?{query}"),
        )
    }

    fn run(&self, sql: &str) {
        PgConnection::establish(&self.url_of("postgres"))
            .unwrap()
            .batch_execute(sql)
            .unwrap();
    }

    /// Migrating takes much longer than copying a database: one database is migrated and copied for each test. Its name contains a
    /// hash of the migrations, so that a shared server keeps it for the next run.
    fn make_template(&self) -> String {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            count: i64,
        }
        let name = format!("keyward_template_{:016x}", hash_of_migrations());
        let mut connection = PgConnection::establish(&self.url_of("postgres")).unwrap();
        // Another test program may create the same template on a shared server.
        connection.batch_execute("SELECT pg_advisory_lock(1)").unwrap();
        let found: Count = diesel::sql_query("SELECT count(*) AS count FROM pg_database WHERE datname = $1")
            .bind::<diesel::sql_types::Text, _>(&name)
            .get_result(&mut connection)
            .unwrap();
        if found.count == 0 {
            let draft = format!("{name}_draft");
            connection
                .batch_execute(&format!("DROP DATABASE IF EXISTS {draft}"))
                .unwrap();
            connection
                .batch_execute(&format!("CREATE DATABASE {draft} TEMPLATE template0"))
                .unwrap();
            migrations::migrate(&SecretString::from(self.url_of(&draft))).unwrap();
            connection
                .batch_execute(&format!("ALTER DATABASE {draft} RENAME TO {name}"))
                .unwrap();
        }
        name
    }
}

fn hash_of_migrations() -> u64 {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|folder| folder.unwrap().path().join("up.sql"))
        .collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

fn start_embedded() -> EmbeddedPostgres {
    let folder = tempfile::Builder::new()
        .prefix("keyward-test-")
        .tempdir()
        .unwrap()
        .keep();
    let settings = [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "300"),
        ("autovacuum", "off"),
    ];
    let embedded = EmbeddedPostgres::start(&Options::new(&folder).settings(settings)).unwrap();
    let pid = std::fs::read_to_string(embedded.cluster_dir().join("postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    // The pipe to `cat` closes when this program ends, in whatever way.
    let script =
        "cat >/dev/null; kill -QUIT \"$1\"; while kill -0 \"$1\" 2>/dev/null; do sleep 0.05; done; rm -rf \"$2\"";
    let watcher = Command::new("sh")
        .args(["-c", script, "sh", &pid])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::mem::forget(watcher);
    embedded
}
