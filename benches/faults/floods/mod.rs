//! Each flood asks for as much as it can, while a probe calls `/livez` and verifies an API key.

mod http;
mod probe;
mod raw;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::probe::Probe;
use crate::instance::{self, Instance};
use crate::{client, log_in};

/// What the memory may grow by beside the buffers of password hashes and the cache of credentials.
const MEMORY_ALLOWANCE: u64 = 64 << 20;
/// The credentials of `credential_cache`.
const CACHE_BYTES: u64 = 64 << 20;
const HASH_BYTES: u64 = 19_456 << 10;
const LIVEZ_LIMIT: Duration = Duration::from_millis(100);
const VERIFY_LIMIT: Duration = Duration::from_millis(50);

/// What the floods are aimed at.
struct Target {
    instance: Instance,
    client: reqwest::Client,
    /// Of a platform admin, who owns `org_id`.
    token: String,
    /// Of a person who is not a member of it.
    other_token: String,
    org_id: String,
    avatar: Vec<u8>,
}

/// A flood: a client's task, until the deadline.
#[derive(Clone, Copy)]
enum Flood {
    /// Requests one after the other.
    Requests(fn(&Target, usize) -> reqwest::RequestBuilder),
    /// A blocking function on a connection of its own.
    Connection(fn(u16, Instant)),
    /// Requests to join, each withdrawn.
    JoinRequests,
}

/// Name, number of clients, and what each does.
const FLOODS: [(&str, usize, Flood); 13] = [
    ("leetspeak", 16, Flood::Requests(http::password_check)),
    ("idle connections", 1100, Flood::Connection(raw::idle)),
    ("slow heads", 500, Flood::Connection(raw::slow_head)),
    ("slow bodies", 500, Flood::Connection(raw::slow_body)),
    ("slow readers", 300, Flood::Connection(raw::slow_reader)),
    ("exports", 10, Flood::Requests(http::export)),
    ("avatars", 8, Flood::Requests(http::avatar)),
    ("validation bombs", 32, Flood::Requests(http::validation_bomb)),
    ("idempotency bombs", 32, Flood::Requests(http::idempotency_bomb)),
    ("organisations", 32, Flood::Requests(http::organisation)),
    ("join requests", 16, Flood::JoinRequests),
    ("audit records", 32, Flood::Requests(http::audit_record)),
    ("logins", 400, Flood::Requests(http::login)),
];

impl Target {
    async fn start() -> (Self, tempfile::TempDir) {
        let folder = tempfile::Builder::new().prefix("keyward-floods-").tempdir().unwrap();
        let settings = vec![
            ("KEYWARD_RATE_LIMITS", "on".to_owned()),
            // The clients of a flood have many addresses.
            ("KEYWARD_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ];
        let instance = Instance::start_with(folder.path(), instance::free_port(), settings);
        instance.create_user(instance::USERNAME, "admin");
        instance.create_user("bob", "user");
        let (token, other_token) = (
            log_in(&instance, instance::USERNAME).await,
            log_in(&instance, "bob").await,
        );
        let org = json!({"name": "Floods", "join_policy": "request"});
        let request = client().post(instance.url("/orgs")).bearer_auth(&token).json(&org);
        let org: Value = request.send().await.unwrap().json().await.unwrap();
        let target = Self {
            client: client(),
            token,
            other_token,
            org_id: org["id"].as_str().unwrap().to_owned(),
            avatar: http::large_picture(),
            instance,
        };
        (target, folder)
    }

    async fn run(self: &Arc<Self>, clients: usize, flood: Flood, until: Instant) -> usize {
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let target = Arc::clone(self);
            let port = self.instance.port();
            match flood {
                Flood::Requests(request) => {
                    tasks.spawn(async move { http::repeat(&target, number, request, until).await });
                }
                Flood::JoinRequests => {
                    tasks.spawn(async move { http::join_and_withdraw(&target, until).await });
                }
                Flood::Connection(run) => {
                    tasks.spawn(async move {
                        let thread = tokio::task::spawn_blocking(move || run(port, until));
                        thread.await.unwrap();
                        1
                    });
                }
            }
        }
        tasks.join_all().await.into_iter().sum()
    }
}

/// Runs each flood whose name contains `only` for `seconds`, and checks the limits.
pub async fn run(seconds: usize, only: &str) -> bool {
    let (target, _folder) = Target::start().await;
    let target = Arc::new(target);
    let probe = Probe::new(&target.instance, &target.token).await;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let growth = HASH_BYTES * u64::try_from(cores).unwrap() + CACHE_BYTES + MEMORY_ALLOWANCE;
    let base = target.instance.memory("VmRSS");
    let mut passed = true;
    for (name, clients, flood) in FLOODS.into_iter().filter(|(name, ..)| name.contains(only)) {
        target.instance.reset_peak_memory();
        let until = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap());
        let (acts, times) = tokio::join!(target.run(clients, flood, until), probe.run(until));
        let peak = target.instance.memory("VmHWM");
        let within = times.livez <= LIVEZ_LIMIT && times.verify <= VERIFY_LIMIT && peak <= base + growth;
        let verdict = if within && times.failures == 0 {
            "passed"
        } else {
            "FAILED"
        };
        println!(
            "flood: {name:<18} {verdict}: {acts:>6} by {clients:>4} clients, /livez p99 {} ms (limit {}), verify p99 {} ms (limit {}), \
             {} probes failed (limit 0), {} MB at most (limit {})",
            times.livez.as_millis(),
            LIVEZ_LIMIT.as_millis(),
            times.verify.as_millis(),
            VERIFY_LIMIT.as_millis(),
            times.failures,
            peak >> 20,
            (base + growth) >> 20,
        );
        passed &= verdict == "passed";
    }
    match Arc::try_unwrap(target) {
        Ok(target) => target.instance.stop(),
        Err(_) => unreachable!("all tasks have ended"),
    }
    passed
}
