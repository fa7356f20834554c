//! Fault injection, too slow for tests: `cargo bench --bench faults`.
//!
//! The scenarios run one after the other on a private PostgreSQL, most of them on real `keyward serve` processes. Each prints
//! its counts beside the limits that Keyward promises; the program fails if a limit is exceeded.
//!
//! | scenario | options (defaults) | what happens | limit |
//! |---|---|---|---|
//! | `kill` | `--kills 200 --writes 10000` | clients create organisations and retry without a response, while the service is killed; every fourth time PostgreSQL is killed too | 0 lost, 0 partial, 0 duplicate organisations |
//! | `restart` | `--restarts 50 --requests 100000` | clients call two instances, and retry on the other one after a refusal, while the instances are stopped with SIGTERM and started in turn | 0 failed requests |
//! | `revoke` | `--revocations 10000` | API keys are rotated, disabled and deleted on one instance while both have them in their caches | 0 accepted afterwards by the same instance, 0 by the other after 1 s |
//! | `floods` | `--floods 3` (seconds each), `--flood` (part of a name) | clients ask for as much as they can: connections, logins, exports, images, writes | `/livez` p99 100 ms, verification of a key p99 50 ms, memory of the idle service + the buffers of password hashes + the cache + 64 MB |
//! | `mail` | `--mails 1000` | e-mails are queued while the mail server is down; the service is killed while it delivers them | all delivered within 120 s, each under one Message-ID |
//! | `oracles` | `--oracles 100` (rounds) | logins, resets, registrations, changes of address and invitations for addresses with and without an account, in turn | 3 ms between the medians |
//! | `held` | `--held 20` | every operation that changes something is held back between head and body while its credential is revoked in every way, on another instance | 0 carried out |
//! | `pairs` | `--pairs 100` | operations on the same account run at the same time | 0 deadlocks, 0 responses 5xx, one winner |
//! | `year` | `--rows 100000` | a database with so many rows per table, from the last 800 days, is swept for the first time | 100 ms per batch |
//!
//! An option that is 0 skips its scenario; `--only revoke` runs that scenario alone. All of them together take minutes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods
)]

mod concurrency;
mod floods;
mod instance;
mod kill;
mod mail;
mod oracles;
mod restart;
mod revoke;
mod year;

/// The tests that `concurrency` repeats, and their helpers.
#[path = "../../tests/it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
mod support;
#[path = "../../tests/it/contract"]
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
mod contract {
    pub mod held;
    pub mod pairs;
}

use std::time::Duration;

use serde_json::{Value, json};

use self::instance::Instance;

const CLIENTS: usize = 8;
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

fn main() {
    let text = |name: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1)
    };
    let option = |name: &str, default: usize| text(name).map_or(default, |number| number.parse().unwrap());
    let only = text("--only");
    let scenario = |name: &str, option_name: &str, default: usize| {
        let is_wanted = only.as_deref().is_none_or(|only| only == name);
        if is_wanted { option(option_name, default) } else { 0 }
    };
    let (kills, writes) = (scenario("kill", "--kills", 200), option("--writes", 10_000));
    let (restarts, requests) = (scenario("restart", "--restarts", 50), option("--requests", 100_000));
    let revocations = scenario("revoke", "--revocations", 10_000);
    let mails = scenario("mail", "--mails", 1000);
    let (held, pairs) = (scenario("held", "--held", 20), scenario("pairs", "--pairs", 100));
    let oracle_rounds = scenario("oracles", "--oracles", 100);
    let rows = scenario("year", "--rows", 100_000);
    let flood_seconds = scenario("floods", "--floods", 3);
    // A flood of slow connections has a thread for each.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(2000)
        .build()
        .unwrap();
    let mut passed = true;
    if kills > 0 {
        passed &= runtime.block_on(kill::run(kills, writes));
    }
    if restarts > 0 {
        passed &= runtime.block_on(restart::run(restarts, requests));
    }
    if revocations > 0 {
        passed &= runtime.block_on(revoke::run(revocations));
    }
    if mails > 0 {
        passed &= runtime.block_on(mail::run(mails));
    }
    if flood_seconds > 0 {
        let flood = text("--flood").unwrap_or_default();
        passed &= runtime.block_on(floods::run(flood_seconds, &flood));
    }
    if oracle_rounds > 0 {
        passed &= runtime.block_on(oracles::run(oracle_rounds));
    }
    if held > 0 {
        actix_web::rt::System::new().block_on(concurrency::hold(held));
    }
    if pairs > 0 {
        actix_web::rt::System::new().block_on(concurrency::pair(pairs));
    }
    if rows > 0 {
        passed &= year::run(rows);
    }
    assert!(passed, "a limit was exceeded");
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// Creates the user of `instance` and returns an access token.
async fn sign_up(instance: &Instance) -> String {
    instance.create_user(instance::USERNAME, "user");
    log_in(instance, instance::USERNAME).await
}

async fn log_in(instance: &Instance, username: &str) -> String {
    let login = json!({"login": username, "password": instance::PASSWORD});
    let request = client().post(instance.url("/auth/login")).json(&login);
    let tokens: Value = request.send().await.unwrap().json().await.unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}
