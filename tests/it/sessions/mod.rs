//! Sessions and their tokens.

mod end;
mod login;
mod refresh;
mod throttle;

use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

async fn refresh(app: &TestApp, token: &str) -> Reply {
    app.post("/auth/refresh", &json!({"refresh_token": token})).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
