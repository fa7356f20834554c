//! Long runs of trouble, which take minutes and so are no tests: `cargo bench --bench faults`. Each prints what was promised
//! and what came of it, and the program fails if a promise was broken.
//!
//! `-- --kills 200 --writes 10000` kills the service, and every fourth time PostgreSQL with it, while clients make
//! organisations and repeat what was not answered. `-- --restarts 50 --requests 100000` stops two instances in turn
//! while clients go on, each asking the other instance when one takes no requests. What is 0 is left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs
)]

mod instance;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use instance::Instance;
use keyward::db::embedded::{EmbeddedPostgres, Options};
use secrecy::ExposeSecret as _;
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
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut kept = true;
    if kills > 0 {
        kept &= runtime.block_on(kill(kills, writes));
    }
    if restarts > 0 {
        kept &= runtime.block_on(restart(restarts, requests));
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

/// What was acknowledged survives; nothing is done by halves, or twice.
async fn kill(kills: usize, writes: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-kill-").tempdir().unwrap();
    let mut instance = Instance::start(folder.path(), instance::free_port());
    let token: Arc<str> = log_in(&instance).await.into();
    let (written, repeated) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let writers: Vec<_> = (0..CLIENTS)
        .map(|writer| {
            let (token, url) = (Arc::clone(&token), instance.url("/orgs"));
            let (written, repeated) = (Arc::clone(&written), Arc::clone(&repeated));
            tokio::spawn(async move {
                let client = client();
                let mut acknowledged = Vec::new();
                for number in (writer..writes).step_by(CLIENTS) {
                    let name = format!("org {number}");
                    let id = write(&client, &url, &token, &name, &repeated).await;
                    acknowledged.push((name, id));
                    written.fetch_add(1, Ordering::Relaxed);
                }
                acknowledged
            })
        })
        .collect();
    let mut killed = 0;
    while killed < kills && writers.iter().any(|writer| !writer.is_finished()) {
        // Spread over the whole run, so that there is always something under way.
        if written.load(Ordering::Relaxed) * kills < killed * writes {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let with_postgres = killed % 4 == 3;
        instance = tokio::task::spawn_blocking(move || instance.kill_and_start(with_postgres))
            .await
            .unwrap();
        killed += 1;
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    instance.stop();
    let took = started.elapsed().as_secs();
    let repeated = repeated.load(Ordering::Relaxed);
    println!(
        "{killed} kills, {} writes, {repeated} repeated, {took} s",
        acknowledged.len()
    );
    judge(folder.path(), &acknowledged) && killed == kills
}

/// Makes an organisation, and asks again with the same key until there is an answer.
async fn write(client: &reqwest::Client, url: &str, token: &str, name: &str, repeated: &AtomicUsize) -> String {
    loop {
        let request = client
            .post(url)
            .bearer_auth(token)
            .header("idempotency-key", name.replace(' ', "-"))
            .json(&json!({"name": name}));
        if let Ok(answer) = request.send().await {
            let status = answer.status().as_u16();
            if let Ok(body) = answer.json::<Value>().await {
                if status == 201 {
                    return body["id"].as_str().unwrap().to_owned();
                }
                assert!(matches!(status, 409 | 503), "{status}: {body}");
            }
        }
        repeated.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(QueryableByName)]
struct Made {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = BigInt)]
    owners: i64,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// Compares what was acknowledged with what is there.
fn judge(data_dir: &Path, acknowledged: &[(String, String)]) -> bool {
    let postgres = EmbeddedPostgres::start(&Options {
        data_dir,
        search_path: std::env::var_os("PATH"),
        settings: &[],
    })
    .unwrap();
    let mut connection = PgConnection::establish(postgres.database_url().expose_secret()).unwrap();
    let made: Vec<Made> = diesel::sql_query(
        "SELECT name, id::text, \
         (SELECT count(*) FROM memberships WHERE org_id = orgs.id AND role = 'owner') AS owners, \
         (SELECT count(*) FROM audit_log WHERE object_id = orgs.id AND action = 'org.created') AS records FROM orgs",
    )
    .load(&mut connection)
    .unwrap();
    drop(connection);
    postgres.stop().unwrap();
    let halves = made.iter().filter(|org| (org.owners, org.records) != (1, 1)).count();
    let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
    for org in &made {
        by_name.entry(&org.name).or_default().push(&org.id);
    }
    let twice = by_name.values().filter(|ids| ids.len() > 1).count();
    let lost = acknowledged
        .iter()
        .filter(|(name, id)| by_name.get(name.as_str()).is_none_or(|ids| ids != &[id.as_str()]))
        .count();
    println!("lost {lost}, done by halves {halves}, done twice {twice} (promised: 0, 0, 0)");
    (lost, halves, twice) == (0, 0, 0)
}

/// To stop loses nothing.
async fn restart(restarts: usize, requests: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-restart-").tempdir().unwrap();
    let ports = [instance::free_port(), instance::free_port()];
    let mut instances = ports.map(|port| Some(Instance::start(folder.path(), port)));
    let first = instances[0].as_ref().unwrap();
    let token: Arc<str> = log_in(first).await.into();
    let urls: Arc<[String; 2]> = Arc::new(ports.map(|port| instance::url(port, "/me")));
    let (asked, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let restarting = Arc::new(AtomicBool::new(true));
    let started = Instant::now();
    let askers: Vec<_> = (0..CLIENTS)
        .map(|asker| {
            let (token, urls) = (Arc::clone(&token), Arc::clone(&urls));
            let (asked, failed, restarting) = (Arc::clone(&asked), Arc::clone(&failed), Arc::clone(&restarting));
            tokio::spawn(async move {
                let client = client();
                while restarting.load(Ordering::Relaxed) || asked.load(Ordering::Relaxed) < requests {
                    asked.fetch_add(1, Ordering::Relaxed);
                    if !ask(&client, &urls, asker % 2, &token).await {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for restarted in 0..restarts {
        let place = restarted % 2;
        let instance = instances[place].take().unwrap();
        let again = tokio::task::spawn_blocking(move || instance.stop_and_start());
        instances[place] = Some(again.await.unwrap());
    }
    restarting.store(false, Ordering::Relaxed);
    for asker in askers {
        asker.await.unwrap();
    }
    for instance in instances.into_iter().flatten() {
        instance.stop();
    }
    let failed = failed.load(Ordering::Relaxed);
    let took = started.elapsed().as_secs();
    let asked = asked.load(Ordering::Relaxed);
    println!("{restarts} restarts, {asked} requests, {took} s");
    println!("failed {failed} (promised: 0)");
    failed == 0
}

/// As a proxy would: who takes no connection, drops one, or says that it cannot serve is passed over for the other, once.
async fn ask(client: &reqwest::Client, urls: &[String; 2], first: usize, token: &str) -> bool {
    for place in [first, 1 - first] {
        let answer = client.get(&urls[place]).bearer_auth(token).send().await;
        let Ok(answer) = answer else { continue };
        let status = answer.status().as_u16();
        if answer.bytes().await.is_ok() && status != 503 {
            return status == 200;
        }
    }
    false
}
