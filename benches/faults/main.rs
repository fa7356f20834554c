//! Long runs of trouble, which take minutes and so are no tests: `cargo bench --bench faults`. Each prints what was promised
//! and what came of it, and the program fails if a promise was broken.
//!
//! `-- --kills 200 --writes 10000` kills the service, and every fourth time PostgreSQL with it, while clients make
//! organisations and repeat what was not answered. `-- --restarts 50 --requests 100000` stops two instances in turn
//! while clients go on, each asking the other instance when one takes no requests. `-- --revocations 10000` rotates,
//! disables and deletes API keys on one instance while another remembers them. `-- --mails 1000` has mails written while
//! there is no mail server. What is 0 is left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs
)]

mod instance;
mod kill;
mod mail;
mod restart;
mod revoke;

use std::time::Duration;

use instance::Instance;
use serde_json::{Value, json};

/// How many clients write or ask side by side.
const CLIENTS: usize = 8;
/// How long a client waits before it tries again.
const PAUSE: Duration = Duration::from_millis(10);

fn main() {
    let option = |name: &str, default: usize| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1).map_or(default, |number| number.parse().unwrap())
    };
    let (kills, writes) = (option("--kills", 200), option("--writes", 10_000));
    let (restarts, requests) = (option("--restarts", 50), option("--requests", 100_000));
    let revocations = option("--revocations", 10_000);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut kept = true;
    if kills > 0 {
        kept &= runtime.block_on(kill::run(kills, writes));
    }
    if restarts > 0 {
        kept &= runtime.block_on(restart::run(restarts, requests));
    }
    if revocations > 0 {
        kept &= runtime.block_on(revoke::run(revocations));
    }
    let mails = option("--mails", 1000);
    if mails > 0 {
        kept &= runtime.block_on(mail::run(mails));
    }
    assert!(kept, "a promise was broken");
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

async fn log_in(instance: &Instance) -> String {
    instance.create_user();
    let login = json!({"login": instance::USERNAME, "password": instance::PASSWORD});
    let request = client().post(instance.url("/auth/login")).json(&login);
    let tokens: Value = request.send().await.unwrap().json().await.unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}
