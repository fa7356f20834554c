//! The responses to requests about addresses with and without an account take the same time.
//!
//! The requests of one operation are made in turn, so that what else the machine does concerns all of them alike.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::instance::{self, Instance};
use crate::{client, sign_up};

/// How far the medians of one operation may lie apart.
const LIMIT: Duration = Duration::from_millis(3);
/// Never logs in again after the cost of hashes was raised.
const WITH_OLD_HASH: &str = "bob";

/// One of the requests that must be indistinguishable.
struct Case {
    name: &'static str,
    status: u16,
    path: String,
    /// `{n}` in it is the number of the round.
    body: Value,
}

impl Case {
    fn new(name: &'static str, status: u16, path: &str, body: Value) -> Self {
        let path = path.to_owned();
        Self {
            name,
            status,
            path,
            body,
        }
    }

    fn login(name: &'static str, email: &str) -> Self {
        let body = json!({"login": email, "password": "wrong-rocket-tundra-fiddle"});
        Self::new(name, 401, "/auth/login", body)
    }
}

fn operations(org_id: &str) -> Vec<(&'static str, Vec<Case>)> {
    let (ada, bob, pending) = ("ada@example.com", "bob@example.com", "pending@example.com");
    let login = vec![
        Case::login("wrong password", ada),
        Case::login("older hash", bob),
        Case::login("pending registration", pending),
        Case::login("unknown", "unknown{n}@example.net"),
    ];
    let by_email = |path: &'static str, cases: [(&'static str, &str); 3]| {
        let case = |(name, email): (&'static str, &str)| Case::new(name, 202, path, json!({"email": email}));
        cases.map(case).into()
    };
    let register = |name, email: &str| {
        let body = json!({"email": email, "password": instance::PASSWORD});
        Case::new(name, 202, "/auth/register", body)
    };
    let change = |name, email: &str| Case::new(name, 202, "/email", json!({"new_email": email}));
    let invitations = format!("/orgs/{org_id}/invitations");
    let invite = |name, email: &str| Case::new(name, 201, &invitations, json!({"email": email, "role": "member"}));
    vec![
        ("login", login),
        (
            "forgot",
            by_email(
                "/password/forgot",
                [
                    ("known", ada),
                    ("pending", pending),
                    ("unknown", "forgot{n}@example.net"),
                ],
            ),
        ),
        (
            "register",
            vec![register("known", bob), register("unknown", "new{n}@example.net")],
        ),
        (
            "resend",
            by_email(
                "/auth/register/resend",
                [
                    ("known", ada),
                    ("pending", pending),
                    ("unknown", "resend{n}@example.net"),
                ],
            ),
        ),
        (
            "e-mail change",
            vec![change("known", bob), change("unknown", "change{n}@example.net")],
        ),
        (
            "invite",
            vec![invite("known", bob), invite("unknown", "guest{n}@example.net")],
        ),
    ]
}

/// Checks that no operation reveals by its duration whether an address has an account.
pub async fn run(rounds: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-oracles-").tempdir().unwrap();
    let port = instance::free_port();
    let cost_raised = vec![("KEYWARD_ARGON2_ITERATIONS", "3".to_owned())];
    // The command line hashes with the default cost; a login with the right password replaces the hash.
    let instance = Instance::start_with(folder.path(), port, cost_raised);
    instance.create_user(WITH_OLD_HASH, "user");
    let token = sign_up(&instance).await;
    let requester = Requester {
        client: client(),
        port,
        token,
    };
    let org = requester.send("/orgs", &json!({"name": "Acme"}), 201).await.1;
    let registration = json!({"email": "pending@example.com", "password": instance::PASSWORD});
    requester.send("/auth/register", &registration, 202).await;
    let mut passed = true;
    for (operation, cases) in operations(org["id"].as_str().unwrap()) {
        passed &= requester.compare(operation, &cases, rounds).await;
    }
    instance.stop();
    passed
}

struct Requester {
    client: reqwest::Client,
    port: u16,
    token: String,
}

impl Requester {
    async fn compare(&self, operation: &str, cases: &[Case], rounds: usize) -> bool {
        let mut times = vec![Vec::with_capacity(rounds); cases.len()];
        for round in 0..rounds {
            // Another one begins in each round: the mail of one request is delivered during the next.
            for index in (0..cases.len()).map(|offset| (round + offset) % cases.len()) {
                let (case, times) = (&cases[index], &mut times[index]);
                let body = case.body.to_string().replace("{n}", &round.to_string());
                let body: Value = serde_json::from_str(&body).unwrap();
                let (took, response) = self.send(&case.path, &body, case.status).await;
                times.push(took);
                // An address can have only one pending invitation.
                if let Some(id) = response["id"].as_str().filter(|_| operation == "invite") {
                    self.delete(&format!("{}/{id}", case.path)).await;
                }
            }
        }
        let medians: Vec<Duration> = times.into_iter().map(median).collect();
        let spread = medians.iter().max().unwrap().abs_diff(*medians.iter().min().unwrap());
        let list: Vec<String> = cases
            .iter()
            .zip(&medians)
            .map(|(case, median)| format!("{} {:.1} ms", case.name, median.as_secs_f64() * 1000.0))
            .collect();
        println!(
            "oracles: {operation}: {}; {:.1} ms apart (limit: 3 ms)",
            list.join(", "),
            spread.as_secs_f64() * 1000.0
        );
        spread <= LIMIT
    }

    /// How long the response took, and its body.
    async fn send(&self, path: &str, body: &Value, expected: u16) -> (Duration, Value) {
        let request = self.client.post(instance::url(self.port, path));
        let is_public = ["/auth/", "/password/"].iter().any(|prefix| path.starts_with(prefix));
        let request = if is_public {
            request
        } else {
            request.bearer_auth(&self.token)
        };
        let started = Instant::now();
        let response = request.json(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let took = started.elapsed();
        assert_eq!(status, expected, "{path}: {text}");
        (took, serde_json::from_str(&text).unwrap())
    }

    async fn delete(&self, path: &str) {
        let request = self
            .client
            .delete(instance::url(self.port, path))
            .bearer_auth(&self.token);
        assert!(request.send().await.unwrap().status().is_success());
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
