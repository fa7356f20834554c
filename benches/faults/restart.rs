//! Two instances are stopped and started in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::instance::{self, Instance};
use crate::{CLIENTS, client, log_in};

/// To stop loses nothing.
pub async fn run(restarts: usize, requests: usize) -> bool {
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
