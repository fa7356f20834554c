//! Two instances are stopped and started in turn while clients call them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::instance::{self, Instance};
use crate::{CLIENTS, client, sign_up};

/// Checks that no request fails.
pub async fn run(restarts: usize, requests: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-restart-").tempdir().unwrap();
    let ports = [instance::free_port(), instance::free_port()];
    let mut instances = ports.map(|port| Some(Instance::start(folder.path(), port)));
    let first = instances[0].as_ref().unwrap();
    let token: Arc<str> = sign_up(first).await.into();
    let urls: Arc<[String; 2]> = Arc::new(ports.map(|port| instance::url(port, "/me")));
    let (sent, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let restarting = Arc::new(AtomicBool::new(true));
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (token, urls) = (Arc::clone(&token), Arc::clone(&urls));
            let (sent, failed, restarting) = (Arc::clone(&sent), Arc::clone(&failed), Arc::clone(&restarting));
            tokio::spawn(async move {
                let client = client();
                while restarting.load(Ordering::Relaxed) || sent.load(Ordering::Relaxed) < requests {
                    sent.fetch_add(1, Ordering::Relaxed);
                    if !send(&client, &urls, number % 2, &token).await {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for restarted in 0..restarts {
        let index = restarted % 2;
        let instance = instances[index].take().unwrap();
        let restart = tokio::task::spawn_blocking(move || instance.stop_and_start());
        instances[index] = Some(restart.await.unwrap());
    }
    restarting.store(false, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    for instance in instances.into_iter().flatten() {
        instance.stop();
    }
    let failed = failed.load(Ordering::Relaxed);
    let seconds = started.elapsed().as_secs();
    let sent = sent.load(Ordering::Relaxed);
    println!("restart: {restarts} restarts, {sent} requests, {seconds} s");
    println!("      failed {failed} (limit: 0)");
    failed == 0
}

/// Behaves like a retrying proxy: if the first instance refuses or drops the connection or responds with 503, tries the
/// other one once.
async fn send(client: &reqwest::Client, urls: &[String; 2], first: usize, token: &str) -> bool {
    for index in [first, 1 - first] {
        let response = client.get(&urls[index]).bearer_auth(token).send().await;
        let Ok(response) = response else { continue };
        let status = response.status().as_u16();
        if response.bytes().await.is_ok() && status != 503 {
            return status == 200;
        }
    }
    false
}
