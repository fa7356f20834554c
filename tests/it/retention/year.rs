//! More than a year of use, in steps of four weeks: from the longest retention on, no table grows any more.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use keyward::app::{retention, worker};
use serde_json::{Value, json};

use crate::support::{Call, PASSWORD, TestApp, png};

const STEP: TimeDelta = TimeDelta::days(28);
/// The first step after the longest retention: 400 days, of audit records.
const FIRST_FLAT_STEP: usize = 16;
const LAST_STEP: usize = 19;

/// The rows of every table.
fn sizes(app: &TestApp) -> BTreeMap<&'static str, i64> {
    let size = |table: &str| app.number(&format!("SELECT count(*) FROM {table}"));
    retention::TABLES
        .iter()
        .map(|(table, _)| (*table, size(table)))
        .collect()
}

/// What people do in four weeks. `step` makes addresses and names different in each.
struct Load<'a> {
    app: &'a TestApp,
    org_id: String,
    step: usize,
}

impl Load<'_> {
    /// From an address of its own, because the limit of requests to public endpoints counts real seconds.
    fn public(&self, path: &str, body: &Value) -> Call {
        let address = format!("198.51.100.{}", self.step);
        self.app.post(path, body).header("x-forwarded-for", &address)
    }

    async fn log_in(&self, login: &str) -> Value {
        let body = json!({"login": login, "password": PASSWORD});
        self.public("/auth/login", &body).await.expect(200)
    }

    async fn run(&self) {
        let tokens = self.log_in("ada@example.com").await;
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        self.sessions(&tokens).await;
        self.strangers().await;
        self.profile(&token).await;
        self.keys(&token).await;
        self.admission(&token).await;
        self.short_lived_account().await;
        self.app
            .sql("UPDATE mail_outbox SET sent_at = created_at WHERE sent_at IS NULL");
        worker::remind(&self.app.state).await.unwrap();
    }

    async fn sessions(&self, tokens: &Value) {
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        let next = self.public("/auth/refresh", &refresh).await.expect(200);
        let refresh = json!({"refresh_token": next["refresh_token"]});
        self.public("/auth/refresh", &refresh).await.expect(200);
        let other = self.log_in("ada@example.com").await;
        let logout = json!({"refresh_token": other["refresh_token"]});
        self.public("/auth/logout", &logout).await.expect(204);
    }

    async fn strangers(&self) {
        let guess = json!({"login": "ada@example.com", "password": "wrong"});
        self.public("/auth/login", &guess)
            .await
            .refused(401, "invalid_credentials");
        let register = json!({"email": format!("stranger{}@example.com", self.step), "password": PASSWORD});
        self.public("/auth/register", &register).await.expect(202);
        let forgot = json!({"email": "ada@example.com"});
        self.public("/password/forgot", &forgot).await.expect(202);
    }

    async fn profile(&self, token: &str) {
        let name = json!({"username": format!("ada{}", self.step)});
        self.app.patch("/me", &name).bearer(token).await.expect(200);
        let avatar = self.app.request("PUT", "/me/avatar").body("image/png", png(8, 8));
        avatar.bearer(token).await.expect(200);
        let change = json!({"new_email": format!("ada{}@example.com", self.step)});
        self.app.post("/email", &change).bearer(token).await.expect(202);
        let page = self
            .app
            .get("/notifications?state=unread&limit=1")
            .bearer(token)
            .await
            .expect(200);
        let id = page["data"][0]["id"].as_str().unwrap();
        let read = json!({"state": "read"});
        let path = format!("/notifications/{id}");
        self.app.patch(&path, &read).bearer(token).await.expect(200);
    }

    async fn keys(&self, token: &str) {
        let body = json!({"name": "key", "expires_in_days": 40, "scopes": ["me:read"], "current_password": PASSWORD});
        let key = self.app.post("/api-keys", &body).bearer(token).await.expect(201);
        let me = self.app.get("/me").bearer(key["secret"].as_str().unwrap()).await;
        me.expect(200);
        keyward::api_keys::flush_usage(&self.app.state).await.unwrap();
        let keys = self.app.get("/api-keys?limit=100").bearer(token).await.expect(200);
        for expired in keys["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|key| key["status"] == "expired")
        {
            let path = format!("/api-keys/{}", expired["id"].as_str().unwrap());
            self.app.delete(&path).bearer(token).await.expect(204);
        }
    }

    async fn admission(&self, token: &str) {
        let body = json!({"email": format!("guest{}@example.com", self.step), "role": "member"});
        let path = format!("/orgs/{}/invitations", self.org_id);
        let invitation = self.app.post(&path, &body).bearer(token);
        invitation
            .header("idempotency-key", &format!("step-{}", self.step))
            .await
            .expect(201);
        let bob = self.log_in("bob").await;
        let path = format!("/orgs/{}/join-requests", self.org_id);
        let bobs = bob["access_token"].as_str().unwrap();
        let request = self.app.post(&path, &json!({})).bearer(bobs).await.expect(201);
        let path = format!("{path}/{}/reject", request["id"].as_str().unwrap());
        self.app.post(&path, &json!({})).bearer(token).await.expect(200);
    }

    async fn short_lived_account(&self) {
        let name = format!("eve{}", self.step);
        let eve = self.app.person(&name).await;
        self.app.delete("/me").bearer(&eve.access_token).await.expect(204);
    }
}

#[actix_web::test]
async fn no_table_grows_after_the_longest_retention() {
    let app = TestApp::start_with(&[("KEYWARD_TRUSTED_PROXIES", "127.0.0.1")]);
    let [ada, _] = app.people(["ada", "bob"]).await;
    let org_id = app.org(&ada, "Acme").await;
    app.sql("UPDATE orgs SET join_policy = 'request'");
    let mut at_first = BTreeMap::new();
    for step in 1..=LAST_STEP {
        let org_id = org_id.clone();
        Load {
            app: &app,
            org_id,
            step,
        }
        .run()
        .await;
        app.advance(STEP);
        retention::sweep(&app.state).await.unwrap();
        if step == FIRST_FLAT_STEP {
            at_first = sizes(&app);
        }
    }
    let at_last = sizes(&app);
    for (table, rows) in &at_last {
        let before = at_first[table];
        // A key lives for two steps, so what belongs to keys varies a little from step to step.
        assert!(
            (rows - before).abs() <= 1 + before / 50,
            "{table}: {before}, then {rows}"
        );
    }
    // The tables whose rows outlive a step had rows to delete.
    let used = at_last.iter().filter(|(_, rows)| **rows > 0).count();
    assert!(used >= 15, "{at_last:?}");
}
