//! Measures how long others wait during a flood.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client;
use crate::instance::{self, Instance};

const INTERVAL: Duration = Duration::from_millis(10);

pub struct Probe {
    client: reqwest::Client,
    livez: String,
    verify: String,
    key: String,
}

/// What a probe measured during a flood.
pub struct Times {
    /// The 99th percentile.
    pub livez: Duration,
    pub verify: Duration,
    /// Calls without the expected response.
    pub failures: usize,
}

impl Probe {
    pub async fn new(instance: &Instance, token: &str) -> Self {
        let client = client();
        let key = json!({"name": "probe", "scopes": ["keys:verify"], "current_password": instance::PASSWORD});
        let request = client.post(instance.url("/api-keys")).bearer_auth(token).json(&key);
        let key: Value = request.send().await.unwrap().json().await.unwrap();
        Self {
            client,
            livez: instance.url("/livez"),
            verify: instance.url("/api-keys/verify"),
            key: key["secret"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn run(&self, until: Instant) -> Times {
        let (mut livez, mut verify, mut failures) = (Vec::new(), Vec::new(), 0);
        let mut interval = tokio::time::interval(INTERVAL);
        while Instant::now() < until {
            interval.tick().await;
            let verification = self.client.post(&self.verify).bearer_auth(&self.key);
            let verification = verification.json(&json!({"key": self.key}));
            for (request, times) in [(self.client.get(&self.livez), &mut livez), (verification, &mut verify)] {
                let started = Instant::now();
                let is_ok = request.send().await.is_ok_and(|response| response.status() == 200);
                times.push(started.elapsed());
                failures += usize::from(!is_ok);
            }
        }
        Times {
            livez: p99(livez),
            verify: p99(verify),
            failures,
        }
    }
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}
