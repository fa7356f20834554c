//! An app on a free port, with a database of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

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

/// One instance of the service. Others that share its database come from [`TestApp::another`].
pub struct TestApp {
    pub state: State,
    pub address: SocketAddr,
    pub client: reqwest::Client,
    database: Arc<Database>,
    /// Keys, the secret and mails.
    pub folder: Arc<TempDir>,
    settings: Vec<(String, String)>,
    handle: Option<(ServerHandle, JoinHandle<()>)>,
}

impl TestApp {
    /// With the default settings, but for cheap passwords.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further settings, by the names of their variables.
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

    /// On a database that has no table yet.
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

    /// The same, with some settings different.
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

    fn launch(database: Arc<Database>, folder: Arc<TempDir>, settings: Vec<(String, String)>, clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = config_with(&settings, "http://keyward.test");
        let material = Keystore::load(&config, folder.path()).unwrap();
        let url: SecretString = database.url.clone();
        let state = app::build_state(config, &url, material, clock).unwrap();
        let served = state.clone();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = app::start(listener, served).unwrap();
                sender.send(running.handle).unwrap();
                running.server.await.unwrap();
            });
        });
        let handle = receiver.recv().unwrap();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
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

    /// Stops this instance the way `stop` says, and waits for its end.
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

    /// Any method, no body unless one is set.
    pub fn request(&self, method: &str, path: &str) -> Call {
        self.call(method, path)
    }

    /// Moves this app's clock (and that of every instance on its database) ahead.
    pub fn advance(&self, by: TimeDelta) {
        self.state.clock.advance(by);
    }

    /// Looks into the database, past the API.
    pub fn connect(&self) -> PgConnection {
        self.database.connect()
    }

    /// The one number a query gives.
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

    /// The database itself, for tests that take it away.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs an operation in a transaction, past HTTP.
    pub async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.state.db.transaction(self.state.clock.now(), work).await.unwrap()
    }
}

/// Settings of a test: passwords cost next to nothing, one thread serves.
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
            // The connection the test still holds must not keep the server from stopping.
            drop(handle.stop(false));
            let _ = thread.join();
        }
    }
}
