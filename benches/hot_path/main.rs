//! Throughput of the most frequent requests, as ratios to references on the same machine: `cargo bench --bench hot_path`.
//!
//! The service runs in this process on a private PostgreSQL, with logs and metrics as in production. A load generator
//! with 32 keep-alive connections shares the cores with it. Four references are measured in the same way:
//!
//! - **constant handler**: an actix-web handler that returns a constant JSON object;
//! - **one SELECT**: a handler that makes one indexed SELECT directly on its worker thread. No statement can be faster, but a
//!   service cannot work like this: one blocked connection would block all requests of the worker;
//! - **one transaction**: a handler that inserts the rows of a new API key (key, secret, audit record, notification, e-mail)
//!   directly on its worker thread, without any check;
//! - **argon2**: passwords verified per second if all cores do nothing else.
//!
//! All cases run in turn, five rounds; the table shows medians. Requests per second depend on the machine and its load,
//! so compare the ratios only: `0.62 of constant handler (target 0.5)` means that the case reaches 62 % of the constant
//! handler's throughput, and should reach at least 50 %. `MISSED` marks a ratio below its target. Database requests can
//! exceed 1, because the service has more statements in flight than the reference, which has one per worker.
//!
//! `-- --seconds 5` measures each case for 5 instead of 2 seconds per round; `-- --only forward` measures the cases
//! whose names contain the word, and their references.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::format_push_string
)]

mod load;
mod write;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::ConnectionManager;
use embedded_postgres::{EmbeddedPostgres, Options};
use keyward::account::{NewUser, create_user};
use keyward::api_keys::generate;
use keyward::app::{self, Keystore};
use keyward::auth::{Password, PlatformRole};
use keyward::clock::Clock;
use keyward::config::Config;
use keyward::db::{Tx, migrations};
use keyward::secret::TokenHash;
use keyward::state::State;
use keyward::users::Username;
use keyward::values::EmailAddress;
use keyward::values::ids::UserId;
use secrecy::{ExposeSecret as _, SecretString};

use self::load::{Figures, Load, request};

const PASSWORD: &str = "plum-rocket-tundra-fiddle";
const ROUNDS: usize = 5;
/// More keys than the credential cache holds, so that none is cached any more when it is used again.
const COLD_KEYS: usize = 60_000;

fn main() {
    let option = |name: &str| std::env::args().skip_while(|argument| argument != name).nth(1);
    let seconds = option("--seconds").map_or(2.0, |seconds| seconds.parse().unwrap());
    let only = option("--only").unwrap_or_default();
    let folder = tempfile::Builder::new().prefix("keyward-bench-").tempdir().unwrap();
    let postgres = EmbeddedPostgres::start(&Options::new(folder.path())).unwrap();
    let url = postgres.database_url().clone();
    migrations::migrate(&url).unwrap();
    let state = build_state(folder.path(), &url, &[]);
    // As in production, so that their cost is measured too.
    keyward::observability::log::start(&state.config).unwrap();
    let metrics = keyward::observability::metrics::install_recorder().unwrap();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(5));
            metrics.run_upkeep();
        }
    });

    let service = serve(state.clone());
    let references = serve_references(&url);
    let mut connection = PgConnection::establish(url.expose_secret()).unwrap();
    let mut cases = prepare(&state, &mut connection, service, references);
    cases.extend(write::prepare(folder.path(), &url, references));
    let selected: Vec<&str> = cases
        .iter()
        .filter(|case| case.name.contains(&only))
        .flat_map(|case| [Some(case.name), case.target.map(|target| target.reference)])
        .flatten()
        .collect();
    cases.retain(|case| selected.contains(&case.name));
    measure(cases, &state, Duration::from_secs_f64(seconds));
    drop(connection);
    postgres.stop().unwrap();
}

/// An instance without limits of rate.
fn build_state(folder: &Path, url: &SecretString, settings: &[(&str, &str)]) -> State {
    let common = [("KEYWARD_RATE_LIMITS", "off"), ("KEYWARD_PUBLIC_URL", "http://bench")];
    let settings = common.iter().chain(settings);
    let settings = settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::from_environment(settings).unwrap();
    let keystore = Keystore::load(&config, folder).unwrap();
    app::build_state(config, url, keystore, Clock::system()).unwrap()
}

/// Starts the service on its own thread.
fn serve(state: State) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        actix_web::rt::System::new()
            .block_on(async move { app::start(listener, state).unwrap().server.await.unwrap() });
    });
    address
}

type Pool = r2d2::Pool<ConnectionManager<PgConnection>>;

/// Starts the reference handlers on their own thread.
fn serve_references(url: &SecretString) -> SocketAddr {
    let pool = Pool::builder()
        .max_size(4)
        .build(ConnectionManager::new(url.expose_secret()))
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            HttpServer::new(move || {
                App::new()
                    .app_data(web::Data::new(pool.clone()))
                    .route("/constant", web::get().to(constant))
                    .route("/select/{id}", web::get().to(one_select))
                    .route("/insert/{id}", web::post().to(write::one_transaction))
            })
            .workers(std::thread::available_parallelism().unwrap().get())
            .listen(listener)
            .unwrap()
            .run()
            .await
            .unwrap();
        });
    });
    receiver.recv().unwrap()
}

async fn constant() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"valid": true, "code": "valid", "name": "nightly export"}))
}

async fn one_select(id: web::Path<uuid::Uuid>, pool: web::Data<Pool>) -> HttpResponse {
    use keyward::db::schema::users;
    let id = UserId::from(id.into_inner());
    let mut connection = pool.get().unwrap();
    let email: String = users::table
        .find(id)
        .select(users::email)
        .first(&mut connection)
        .unwrap();
    HttpResponse::Ok().json(serde_json::json!({"email": email}))
}

struct Case {
    name: &'static str,
    target: Option<Target>,
    load: Load,
}

/// The ratio of the reference's throughput that a case should reach.
#[derive(Clone, Copy)]
struct Target {
    reference: &'static str,
    min_ratio: f64,
}

#[allow(clippy::unnecessary_wraps, reason = "a case has a target or none")]
const fn at_least(min_ratio: f64, reference: &'static str) -> Option<Target> {
    Some(Target { reference, min_ratio })
}

fn new_key() -> String {
    generate("kw").unwrap().expose().to_owned()
}

/// Inserts API keys directly: the API hashes a password for each, and limits their number per user.
fn insert_keys(connection: &mut PgConnection, owner: UserId, secrets: &[String], scopes: &str) {
    for chunk in secrets.chunks(5000) {
        let rows: Vec<String> = chunk
            .iter()
            .map(|secret| {
                let hash = TokenHash::of(secret.as_bytes());
                let hash = hash
                    .as_bytes()
                    .iter()
                    .fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
                format!("(gen_random_uuid(), '\\x{hash}'::bytea, '{}')", &secret[..7])
            })
            .collect();
        connection
            .batch_execute(&format!(
                "WITH new (id, hash, hint) AS (VALUES {}), keys AS (\
                     INSERT INTO api_keys (id, user_id, name, hint, scopes, created_at, updated_at, granted_at) \
                     SELECT id, '{owner}', 'key ' || hint, hint, '{scopes}', now(), now(), now() FROM new RETURNING id) \
                 INSERT INTO api_key_secrets SELECT hash, new.id, now() FROM new JOIN keys USING (id)",
                rows.join(", ")
            ))
            .unwrap();
    }
}

fn create_person(state: &State, name: &str, role: PlatformRole) -> UserId {
    actix_web::rt::System::new().block_on(async {
        let password = Password::try_from(PASSWORD.to_owned()).ok().unwrap();
        let new = NewUser {
            email: EmailAddress::try_from(format!("{name}@example.com")).unwrap(),
            username: Username::try_from(name.to_owned()).unwrap(),
            role,
            verified: true,
            password_hash: state.hasher.hash(password).await.unwrap(),
        };
        let secret = state.secret.clone();
        let create = move |tx: &mut Tx<'_>| create_user(tx, &secret, &new);
        state.db.transaction(state.clock.now(), create).await.unwrap()
    })
}

fn log_in_body(name: &str) -> String {
    format!(r#"{{"login":"{name}","password":"{PASSWORD}"}}"#)
}

fn log_in(service: SocketAddr, name: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(service).unwrap();
    let mut bytes = request("POST", "/auth/login", None, Some(&log_in_body(name)));
    let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
    bytes.splice(end..end, b"connection: close\r\n".iter().copied());
    stream.write_all(&bytes).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let body: serde_json::Value = serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

fn prepare(state: &State, connection: &mut PgConnection, service: SocketAddr, references: SocketAddr) -> Vec<Case> {
    let grace = create_person(state, "grace", PlatformRole::Admin);
    let ada = create_person(state, "ada", PlatformRole::User);
    let many = create_person(state, "many", PlatformRole::User);
    let session = log_in(service, "ada");
    let (gateway, warm) = (new_key(), new_key());
    insert_keys(connection, grace, std::slice::from_ref(&gateway), "{keys:verify}");
    insert_keys(connection, ada, std::slice::from_ref(&warm), "{me:read,keys:read}");
    insert_keys(
        connection,
        ada,
        &(0..99).map(|_| new_key()).collect::<Vec<_>>(),
        "{me:read}",
    );
    let cold: Vec<String> = (0..COLD_KEYS).map(|_| new_key()).collect();
    insert_keys(connection, many, &cold, "{me:read}");
    connection.batch_execute("ANALYZE").unwrap();
    let body = format!(r#"{{"key":"{warm}","scopes":["me:read"],"ip":"203.0.113.7"}}"#);
    let get = |path: &str, credential: &str| vec![request("GET", path, Some(credential), None)];
    let cold = cold
        .iter()
        .map(|key| request("GET", "/auth/forward", Some(key), None))
        .collect();
    let case = |name, target, load| Case { name, target, load };
    let of_service = |requests, status| Load::new(service, requests, status);
    let of_references = |path: &str| Load::new(references, vec![request("GET", path, None, None)], 200);
    let verify = vec![request("POST", "/api-keys/verify", Some(&gateway), Some(&body))];
    let log_in = vec![request("POST", "/auth/login", None, Some(&log_in_body("ada")))];
    let (constant, select) = ("constant handler", "one SELECT");
    vec![
        case(constant, None, of_references("/constant")),
        case(select, None, of_references(&format!("/select/{ada}"))),
        case("verify, warm key", at_least(0.5, constant), of_service(verify, 200)),
        case(
            "forward, warm key",
            at_least(0.5, constant),
            of_service(get("/auth/forward", &warm), 204),
        ),
        case(
            "forward, session",
            at_least(0.4, constant),
            of_service(get("/auth/forward", &session), 204),
        ),
        case(
            "forward, first use of a key",
            at_least(0.8, select),
            of_service(cold, 204),
        ),
        case("GET /me", at_least(0.7, select), of_service(get("/me", &session), 200)),
        case(
            "GET /api-keys, 25 of 100",
            at_least(0.5, select),
            of_service(get("/api-keys", &session), 200),
        ),
        case("login", at_least(0.9, "argon2"), of_service(log_in, 200)),
    ]
}

/// Passwords verified per second.
fn argon2_rate(state: &State, time: Duration) -> f64 {
    let hash = actix_web::rt::System::new()
        .block_on(state.hasher.hash(Password::try_from(PASSWORD.to_owned()).ok().unwrap()))
        .unwrap();
    let started = Instant::now();
    let count: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..std::thread::available_parallelism().unwrap().get())
            .map(|_| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        let mut count = 0;
                        while started.elapsed() < time {
                            let password = Password::try_from(PASSWORD.to_owned()).ok().unwrap();
                            assert!(state.hasher.verify(password, Some(hash.clone())).await.unwrap());
                            count += 1;
                        }
                        count
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    count as f64 / started.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(mut cases: Vec<Case>, state: &State, time: Duration) {
    for case in &mut cases {
        case.load.run(Duration::from_millis(500));
    }
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); cases.len()];
    let mut hashes = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for (case, figures) in cases.iter_mut().zip(&mut figures) {
            figures.push(case.load.run(time));
        }
        hashes.push(argon2_rate(state, time));
    }
    let hashes = median(hashes);
    let rates: Vec<f64> = figures
        .iter()
        .map(|runs| median(runs.iter().map(|run| run.per_second).collect()))
        .collect();
    let rate_of = |name: &str| {
        let index = cases.iter().position(|case| case.name == name);
        // argon2 is the only reference that isn't a case.
        index.map_or(hashes, |index| rates[index])
    };
    println!("{:<30} {:>10} {:>10} {:>8}", "", "per second", "p99 in ms", "ratio");
    for ((case, runs), rate) in cases.iter().zip(&figures).zip(&rates) {
        let p99 = median(runs.iter().map(|run| run.p99_millis).collect());
        let ratio = case.target.map_or_else(String::new, |Target { reference, min_ratio }| {
            let ratio = rate / rate_of(reference);
            let mark = if ratio >= min_ratio { "" } else { "  MISSED" };
            format!("{ratio:>8.2} of {reference} (target {min_ratio}){mark}")
        });
        println!("{:<30} {rate:>10.0} {p99:>10.2} {ratio}", case.name);
    }
    println!("{:<30} {hashes:>10.0}", "argon2");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(line) = status.lines().find(|line| line.starts_with("VmHWM")) {
        println!(
            "peak memory, including the load generator: {}",
            line.trim_start_matches("VmHWM:").trim()
        );
    }
}
