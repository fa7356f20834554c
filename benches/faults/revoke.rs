//! API keys are revoked on one of two instances while both have them in their caches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::instance::{self, Instance};
use crate::{CLIENTS, RETRY_INTERVAL, client, sign_up};

/// How long a revocation may take to reach the other instance.
const PROPAGATION_LIMIT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Counts {
    revocations: usize,
    /// The instance that revoked the key accepted it afterwards.
    accepted_after_revocation: usize,
    /// The other instance accepted the key after the limit, or after it had rejected it.
    accepted_after_limit: usize,
    /// The longest time until the other instance rejected a key.
    slowest: Duration,
}

/// Checks that both instances reject a revoked key in time.
pub async fn run(revocations: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-revoke-").tempdir().unwrap();
    let ports = [instance::free_port(), instance::free_port()];
    let instances = ports.map(|port| Instance::start(folder.path(), port));
    let token: Arc<str> = sign_up(&instances[0]).await.into();
    let started = Instant::now();
    let revokers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let revoker = Revoker {
                client: client(),
                token: Arc::clone(&token),
                // Half of the clients revoke on one instance, half on the other.
                revoking: ports[number % 2],
                other: ports[1 - number % 2],
            };
            tokio::spawn(async move { revoker.revoke(revocations.div_ceil(CLIENTS)).await })
        })
        .collect();
    let mut all = Counts::default();
    for revoker in revokers {
        let counts = revoker.await.unwrap();
        all.revocations += counts.revocations;
        all.accepted_after_revocation += counts.accepted_after_revocation;
        all.accepted_after_limit += counts.accepted_after_limit;
        all.slowest = all.slowest.max(counts.slowest);
    }
    for instance in instances {
        instance.stop();
    }
    let seconds = started.elapsed().as_secs();
    println!(
        "revoke: {} revocations, at most {} ms until the other instance rejected the key, {seconds} s",
        all.revocations,
        all.slowest.as_millis()
    );
    println!(
        "      accepted afterwards by the same instance {}, by the other after 1 s {} (limits: 0, 0)",
        all.accepted_after_revocation, all.accepted_after_limit
    );
    (all.accepted_after_revocation, all.accepted_after_limit) == (0, 0)
}

struct Revoker {
    client: reqwest::Client,
    token: Arc<str>,
    revoking: u16,
    other: u16,
}

impl Revoker {
    /// Creates keys and revokes each in three ways: by rotating its secret, disabling it and deleting it.
    async fn revoke(&self, revocations: usize) -> Counts {
        let mut counts = Counts::default();
        while counts.revocations < revocations {
            let key = self
                .call("POST", "", json!({"name": "k", "current_password": instance::PASSWORD}))
                .await;
            let path = format!("/{}", key["id"].as_str().unwrap());
            let body = json!({"grace_seconds": 0, "current_password": instance::PASSWORD});
            let rotated = self
                .revoke_cached(&mut counts, &key, "POST", &format!("{path}/rotate"), body)
                .await;
            self.revoke_cached(&mut counts, &rotated, "PATCH", &path, json!({"enabled": false}))
                .await;
            self.call("PATCH", &path, json!({"enabled": true})).await;
            self.revoke_cached(&mut counts, &rotated, "DELETE", &path, json!({}))
                .await;
        }
        counts
    }

    /// Makes the call that revokes the key, once both instances have the key in their caches, and checks how long they
    /// accept it.
    async fn revoke_cached(&self, counts: &mut Counts, key: &Value, method: &str, path: &str, body: Value) -> Value {
        let secret = key["secret"].as_str().unwrap();
        for port in [self.revoking, self.other] {
            // Enabling a key takes as long to reach the other instance as disabling it.
            while !self.is_accepted(port, secret).await {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
        let response = self.call(method, path, body).await;
        let revoked_at = Instant::now();
        counts.revocations += 1;
        counts.accepted_after_revocation += usize::from(self.is_accepted(self.revoking, secret).await);
        let mut sent_after = revoked_at.elapsed();
        while self.is_accepted(self.other, secret).await {
            counts.accepted_after_limit += usize::from(sent_after > PROPAGATION_LIMIT);
            sent_after = revoked_at.elapsed();
        }
        counts.slowest = counts.slowest.max(sent_after);
        counts.accepted_after_limit += usize::from(self.is_accepted(self.other, secret).await);
        response
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let url = instance::url(self.revoking, &format!("/api-keys{path}"));
        let request = self.client.request(method.parse().unwrap(), url);
        let response = request.bearer_auth(&self.token).json(&body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn is_accepted(&self, port: u16, secret: &str) -> bool {
        let request = self.client.get(instance::url(port, "/auth/forward"));
        let status = request.bearer_auth(secret).send().await.unwrap().status().as_u16();
        assert!(matches!(status, 204 | 401), "{status}");
        status == 204
    }
}
