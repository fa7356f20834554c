//! Keys are revoked on one instance while both remember them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::instance::{self, Instance};
use crate::{CLIENTS, PAUSE, client, log_in};

/// How long a revocation may take to arrive at the other instance.
const PROMISED: Duration = Duration::from_secs(1);

/// What came of revocations.
#[derive(Default)]
struct Seen {
    revocations: usize,
    /// The instance that was told of it let the key through once more.
    still_good: usize,
    /// The other one did so after the time that is promised, or after it had refused.
    stale: usize,
    /// How long it took the other one at the most.
    longest: Duration,
}

/// A key that is revoked works nowhere.
pub async fn run(revocations: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-revoke-").tempdir().unwrap();
    let ports = [instance::free_port(), instance::free_port()];
    let instances = ports.map(|port| Instance::start(folder.path(), port));
    let token: Arc<str> = log_in(&instances[0]).await.into();
    let started = Instant::now();
    let revokers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let session = Session {
                client: client(),
                token: Arc::clone(&token),
                // Half of them revoke on the one, half on the other.
                told: ports[number % 2],
                other: ports[1 - number % 2],
            };
            tokio::spawn(async move { session.revoke(revocations.div_ceil(CLIENTS)).await })
        })
        .collect();
    let mut all = Seen::default();
    for revoker in revokers {
        let seen = revoker.await.unwrap();
        all.revocations += seen.revocations;
        all.still_good += seen.still_good;
        all.stale += seen.stale;
        all.longest = all.longest.max(seen.longest);
    }
    for instance in instances {
        instance.stop();
    }
    let took = started.elapsed().as_secs();
    println!(
        "{} revocations, {} ms at the most to the other instance, {took} s",
        all.revocations,
        all.longest.as_millis()
    );
    println!(
        "let through where it was told {}, elsewhere after 1 s {} (promised: 0, 0)",
        all.still_good, all.stale
    );
    (all.still_good, all.stale) == (0, 0)
}

struct Session {
    client: reqwest::Client,
    token: Arc<str>,
    told: u16,
    other: u16,
}

impl Session {
    /// Makes keys and revokes each in every way there is: its secret is replaced, it is switched off, it is deleted.
    async fn revoke(&self, revocations: usize) -> Seen {
        let mut seen = Seen::default();
        while seen.revocations < revocations {
            let key = self
                .call("POST", "", json!({"name": "k", "current_password": instance::PASSWORD}))
                .await;
            let path = format!("/{}", key["id"].as_str().unwrap());
            let body = json!({"grace_seconds": 0, "current_password": instance::PASSWORD});
            let rotated = self
                .revoked(&mut seen, &key, "POST", &format!("{path}/rotate"), body)
                .await;
            self.revoked(&mut seen, &rotated, "PATCH", &path, json!({"enabled": false}))
                .await;
            self.call("PATCH", &path, json!({"enabled": true})).await;
            self.revoked(&mut seen, &rotated, "DELETE", &path, json!({})).await;
        }
        seen
    }

    /// A call by which a key is revoked that both instances know.
    async fn revoked(&self, seen: &mut Seen, key: &Value, method: &str, path: &str, body: Value) -> Value {
        let secret = key["secret"].as_str().unwrap();
        for port in [self.told, self.other] {
            // What was switched on again may take as long to arrive as what was switched off.
            while !self.is_let_through(port, secret).await {
                tokio::time::sleep(PAUSE).await;
            }
        }
        let answer = self.call(method, path, body).await;
        let since = Instant::now();
        seen.revocations += 1;
        seen.still_good += usize::from(self.is_let_through(self.told, secret).await);
        let mut asked = since.elapsed();
        while self.is_let_through(self.other, secret).await {
            seen.stale += usize::from(asked > PROMISED);
            asked = since.elapsed();
        }
        seen.longest = seen.longest.max(asked);
        seen.stale += usize::from(self.is_let_through(self.other, secret).await);
        answer
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let url = instance::url(self.told, &format!("/api-keys{path}"));
        let request = self.client.request(method.parse().unwrap(), url);
        let answer = request.bearer_auth(&self.token).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn is_let_through(&self, port: u16, secret: &str) -> bool {
        let request = self.client.get(instance::url(port, "/auth/forward"));
        let status = request.bearer_auth(secret).send().await.unwrap().status().as_u16();
        assert!(matches!(status, 204 | 401), "{status}");
        status == 204
    }
}
