//! A running instance of the service on a free port, with a database of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use chrono::TimeDelta;
use diesel::pg::PgConnection;
use keyward::app::{self, Keystore};
use keyward::clock::Clock;
use keyward::config::Config;
use keyward::db::Tx;
use keyward::error::Error;
use keyward::state::State;
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

use super::postgres::Database;
use super::reply::Call;

/// For a response, and for the start of an instance.
const TIMEOUT: Duration = Duration::from_mins(1);

/// An instance of the service. [`TestApp::another`] starts further instances on its database.
pub struct TestApp {
    pub state: State,
    pub address: SocketAddr,
    pub client: reqwest::Client,
    database: Arc<Database>,
    /// The data folder: signing keys, server secret, mails.
    pub folder: Arc<TempDir>,
    settings: Vec<(String, String)>,
    handle: Option<(ServerHandle, JoinHandle<()>)>,
}

impl TestApp {
    /// With the default settings, except for those of [`config_with`].
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings by the names of their environment variables.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::launch(
            Arc::new(Database::create()),
            Arc::new(TempDir::new().unwrap()),
            settings,
            Clock::system(),
        )
    }

    /// On a database without tables.
    pub fn start_unmigrated() -> Self {
        Self::launch(
            Arc::new(Database::create_empty()),
            Arc::new(TempDir::new().unwrap()),
            Vec::new(),
            Clock::system(),
        )
    }

    /// A second instance on the same database, with the same keys and clock.
    pub fn another(&self) -> Self {
        Self::launch(
            Arc::clone(&self.database),
            Arc::clone(&self.folder),
            self.settings.clone(),
            self.state.clock.clone(),
        )
    }

    /// Another instance with changed settings.
    pub fn another_with(&self, settings: &[(&str, &str)]) -> Self {
        let changed = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = self.settings.iter().cloned().chain(changed).collect();
        Self::launch(
            Arc::clone(&self.database),
            Arc::clone(&self.folder),
            settings,
            self.state.clock.clone(),
        )
    }

    /// Another instance that reaches the database at another URL: with another role, or through a proxy.
    pub fn another_at(&self, url: &SecretString) -> Self {
        Self::launch_at(
            url,
            Arc::clone(&self.database),
            Arc::clone(&self.folder),
            self.settings.clone(),
            self.state.clock.clone(),
        )
    }

    fn launch(database: Arc<Database>, folder: Arc<TempDir>, settings: Vec<(String, String)>, clock: Clock) -> Self {
        let url = database.url.clone();
        Self::launch_at(&url, database, folder, settings, clock)
    }

    fn launch_at(
        url: &SecretString,
        database: Arc<Database>,
        folder: Arc<TempDir>,
        settings: Vec<(String, String)>,
        clock: Clock,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = config_with(&settings, "http://keyward.test");
        let keystore = Keystore::load(&config, folder.path()).unwrap();
        let state = app::build_state(config, url, keystore, clock).unwrap();
        let server_state = state.clone();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = app::start(listener, server_state).unwrap();
                sender.send(running.handle).unwrap();
                running.server.await.unwrap();
            });
        });
        let handle = receiver.recv_timeout(TIMEOUT).unwrap();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .unwrap();
        Self {
            state,
            address,
            client,
            database,
            folder,
            settings,
            handle: Some((handle, thread)),
        }
    }

    /// Stops this instance with `stop` and waits for its thread.
    pub async fn stop<F: Future<Output = ()>>(&mut self, stop: impl FnOnce(State, ServerHandle) -> F) {
        let (handle, thread) = self.handle.take().unwrap();
        stop(self.state.clone(), handle).await;
        thread.join().unwrap();
    }

    fn call(&self, method: &str, path: &str) -> Call {
        let url = format!("http://{}{path}", self.address);
        Call::new(self.client.request(method.parse().unwrap(), url))
    }

    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.call("POST", path).json(body)
    }

    pub fn put(&self, path: &str, body: &Value) -> Call {
        self.call("PUT", path).json(body)
    }

    pub fn patch(&self, path: &str, body: &Value) -> Call {
        self.call("PATCH", path).json(body)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call("DELETE", path)
    }

    /// A request with any method and, unless one is set, no body.
    pub fn request(&self, method: &str, path: &str) -> Call {
        self.call(method, path)
    }

    /// Advances the clock of this instance and of those started with [`TestApp::another`].
    pub fn advance(&self, by: TimeDelta) {
        self.state.clock.advance(by);
    }

    /// A connection to the database, for what the API does not show.
    pub fn connect(&self) -> PgConnection {
        self.database.connect()
    }

    /// The result of a query for one number.
    pub fn number(&self, query: &str) -> i64 {
        use diesel::RunQueryDsl as _;
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            number: i64,
        }
        let row: Row = diesel::sql_query(format!("SELECT ({query})::bigint AS number"))
            .get_result(&mut self.connect())
            .unwrap();
        row.number
    }

    /// For tests in which the database is not reachable.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs an operation in a transaction, without HTTP.
    pub async fn transaction<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + Sync + 'static,
    ) -> T {
        self.state.db.transaction(self.state.clock.now(), work).await.unwrap()
    }
}

/// Test settings: cheap password hashes and one worker thread.
pub fn config_with(settings: &[(String, String)], public_url: &str) -> Config {
    let defaults = [
        ("KEYWARD_PUBLIC_URL", public_url),
        ("KEYWARD_APP_URL", "https://app.keyward.test"),
        ("KEYWARD_ARGON2_MEMORY_KIB", "8"),
        ("KEYWARD_ARGON2_ITERATIONS", "1"),
        ("KEYWARD_WORKERS", "1"),
        ("KEYWARD_DRAIN_SECONDS", "0"),
    ];
    let mut environment: std::collections::BTreeMap<String, String> = defaults
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environment.extend(settings.iter().cloned());
    Config::from_environment(environment).unwrap()
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some((handle, thread)) = self.handle.take() {
            // Without waiting for connections, which the client of the test keeps open.
            drop(handle.stop(false));
            let _ = thread.join();
        }
    }
}
