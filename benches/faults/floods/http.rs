//! Floods of complete requests.

use std::io::Cursor;
use std::time::Instant;

use image::{DynamicImage, ImageFormat};
use reqwest::RequestBuilder;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Target;
use crate::instance;

/// As many bytes as a body may have.
const LARGE: usize = 60_000;

/// An address for each client of a flood.
fn address(number: usize) -> String {
    format!("198.18.{}.{}", number / 250, number % 250)
}

/// Repeats a request until the deadline; returns how often.
pub async fn repeat(
    target: &Target,
    number: usize,
    request: fn(&Target, usize) -> RequestBuilder,
    until: Instant,
) -> usize {
    let mut requests = 0;
    while Instant::now() < until {
        let request = request(target, number).header("x-forwarded-for", address(number));
        let _ = tokio::time::timeout_at(until.into(), request.send()).await;
        requests += 1;
    }
    requests
}

fn post(target: &Target, path: &str) -> RequestBuilder {
    target.client.post(target.instance.url(path)).bearer_auth(&target.token)
}

pub fn password_check(target: &Target, _: usize) -> RequestBuilder {
    let password = "4@8({<36$5!1|07+2%9".repeat(6);
    let body = json!({"password": &password[..100], "email": format!("{}@example.com", "4".repeat(64))});
    target.client.post(target.instance.url("/password/check")).json(&body)
}

pub fn export(target: &Target, _: usize) -> RequestBuilder {
    let url = target.instance.url("/me/export");
    target.client.get(url).bearer_auth(&target.token)
}

/// As many pixels as an avatar may have.
pub fn large_picture() -> Vec<u8> {
    let mut bytes = Vec::new();
    DynamicImage::new_rgb8(4096, 4096)
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .unwrap();
    bytes
}

pub fn avatar(target: &Target, _: usize) -> RequestBuilder {
    let request = target.client.put(target.instance.url("/me/avatar"));
    request
        .bearer_auth(&target.token)
        .header("content-type", "image/png")
        .body(target.avatar.clone())
}

pub fn validation_bomb(target: &Target, _: usize) -> RequestBuilder {
    let fields: Map<String, Value> = (0..LARGE / 12).map(|number| (format!("f{number}"), json!(0))).collect();
    post(target, "/api-keys").json(&fields)
}

pub fn idempotency_bomb(target: &Target, _: usize) -> RequestBuilder {
    let body = format!("{{\"name\": \"Bomb\",{} \"slug\": null}}", " ".repeat(LARGE));
    post(target, "/orgs")
        .header("idempotency-key", Uuid::new_v4().to_string())
        .header("content-type", "application/json")
        .body(body)
}

pub fn organisation(target: &Target, _: usize) -> RequestBuilder {
    post(target, "/orgs").json(&json!({"name": "Flood"}))
}

pub fn audit_record(target: &Target, _: usize) -> RequestBuilder {
    let nickname = Uuid::new_v4().to_string();
    let request = target.client.patch(target.instance.url("/me"));
    request.bearer_auth(&target.token).json(&json!({"nickname": nickname}))
}

pub fn login(target: &Target, number: usize) -> RequestBuilder {
    let body = json!({"login": format!("nobody{number}"), "password": instance::PASSWORD});
    target.client.post(target.instance.url("/auth/login")).json(&body)
}

pub async fn join_and_withdraw(target: &Target, until: Instant) -> usize {
    let url = target.instance.url(&format!("/orgs/{}/join-requests", target.org_id));
    let mut requests = 0;
    while Instant::now() < until {
        let join = target
            .client
            .post(&url)
            .bearer_auth(&target.other_token)
            .json(&json!({}));
        requests += 1;
        let Ok(response) = join.send().await else { continue };
        let created: Value = response.json().await.unwrap_or_default();
        if let Some(id) = created["id"].as_str() {
            let withdraw = target.client.delete(format!("{url}/{id}"));
            let _ = withdraw.bearer_auth(&target.other_token).send().await;
        }
    }
    requests
}
