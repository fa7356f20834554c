//! The service and PostgreSQL are killed while clients write.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use embedded_postgres::{EmbeddedPostgres, Options};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::instance::{self, Instance};
use crate::{CLIENTS, RETRY_INTERVAL, client, sign_up};

/// Checks that no acknowledged write is lost, and that none is partial or duplicate.
pub async fn run(kills: usize, writes: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-kill-").tempdir().unwrap();
    let mut instance = Instance::start(folder.path(), instance::free_port());
    let token: Arc<str> = sign_up(&instance).await.into();
    let (written, retries) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let writers: Vec<_> = (0..CLIENTS)
        .map(|writer| {
            let (token, url) = (Arc::clone(&token), instance.url("/orgs"));
            let (written, retries) = (Arc::clone(&written), Arc::clone(&retries));
            tokio::spawn(async move {
                let client = client();
                let mut acknowledged = Vec::new();
                for number in (writer..writes).step_by(CLIENTS) {
                    let name = format!("org {number}");
                    let id = write(&client, &url, &token, &name, &retries).await;
                    acknowledged.push((name, id));
                    written.fetch_add(1, Ordering::Relaxed);
                }
                acknowledged
            })
        })
        .collect();
    let mut killed = 0;
    while killed < kills && writers.iter().any(|writer| !writer.is_finished()) {
        // Spreads the kills over all writes, so that each hits requests in progress.
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
    let seconds = started.elapsed().as_secs();
    let retries = retries.load(Ordering::Relaxed);
    println!(
        "kill: {killed} kills, {} writes, {retries} retries, {seconds} s",
        acknowledged.len()
    );
    compare(folder.path(), &acknowledged) && killed == kills
}

/// Creates an organisation. Retries with the same idempotency key until there is a response.
async fn write(client: &reqwest::Client, url: &str, token: &str, name: &str, retries: &AtomicUsize) -> String {
    loop {
        let request = client
            .post(url)
            .bearer_auth(token)
            .header("idempotency-key", name.replace(' ', "-"))
            .json(&json!({"name": name}));
        if let Ok(response) = request.send().await {
            let status = response.status().as_u16();
            if let Ok(body) = response.json::<Value>().await {
                if status == 201 {
                    return body["id"].as_str().unwrap().to_owned();
                }
                assert!(matches!(status, 409 | 503), "{status}: {body}");
            }
        }
        retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

#[derive(QueryableByName)]
struct CreatedOrg {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = BigInt)]
    owners: i64,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// Compares the acknowledged organisations with those in the database.
fn compare(data_dir: &Path, acknowledged: &[(String, String)]) -> bool {
    // The name that `keyward` gave the role and the database.
    let postgres = EmbeddedPostgres::start(&Options::new(data_dir).name("keyward")).unwrap();
    let mut connection = PgConnection::establish(postgres.database_url().expose_secret()).unwrap();
    let created: Vec<CreatedOrg> = diesel::sql_query(
        "SELECT name, id::text, \
         (SELECT count(*) FROM memberships WHERE org_id = orgs.id AND role = 'owner') AS owners, \
         (SELECT count(*) FROM audit_log WHERE object_id = orgs.id AND action = 'org.created') AS records FROM orgs",
    )
    .load(&mut connection)
    .unwrap();
    drop(connection);
    postgres.stop().unwrap();
    let partial = created.iter().filter(|org| (org.owners, org.records) != (1, 1)).count();
    let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
    for org in &created {
        by_name.entry(&org.name).or_default().push(&org.id);
    }
    let duplicate = by_name.values().filter(|ids| ids.len() > 1).count();
    let lost = acknowledged
        .iter()
        .filter(|(name, id)| by_name.get(name.as_str()).is_none_or(|ids| ids != &[id.as_str()]))
        .count();
    println!("      lost {lost}, partial {partial}, duplicate {duplicate} (limits: 0, 0, 0)");
    (lost, partial, duplicate) == (0, 0, 0)
}
