//! Helpers for tests that use API keys.

use diesel::connection::SimpleConnection as _;
use keyward::values::ids::OrgId;
use serde_json::{Value, json};

use super::{Call, PASSWORD, Person, TestApp};

/// A scopes file, deleted on drop.
pub struct ScopesFile(tempfile::NamedTempFile);

impl ScopesFile {
    pub fn with(text: &str) -> Self {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self(file)
    }

    /// `data:read` for personal keys too, `data:write` and `mail:send` for members, `data:erase` for admins.
    pub fn usual() -> Self {
        let scope = |name: &str, service: &str, rest: &str| {
            format!("[[scope]]\nname = \"{name}\"\nservice = \"{service}\"\ndescription = \"…\"\n{rest}\n")
        };
        Self::with(
            &[
                scope("data:read", "data", ""),
                scope("data:write", "data", "min_role = \"member\""),
                scope("data:erase", "data", "min_role = \"admin\""),
                scope("mail:send", "mail", "min_role = \"member\""),
            ]
            .concat(),
        )
    }

    pub fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

/// A new key.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub body: Value,
}

impl Key {
    pub fn path(&self) -> String {
        format!("/api-keys/{}", self.id)
    }
}

impl TestApp {
    /// Creates a key. `fields` are added to the name and the password.
    pub async fn key(&self, person: &Person, fields: Value) -> Key {
        let body = self.create_key(person, fields).await.expect(201);
        Key {
            id: body["id"].as_str().unwrap().to_owned(),
            secret: body["secret"].as_str().unwrap().to_owned(),
            body,
        }
    }

    pub fn create_key(&self, person: &Person, fields: Value) -> Call {
        let mut body = json!({"name": "a key", "current_password": PASSWORD});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post("/api-keys", &body).bearer(&person.access_token)
    }

    /// Runs SQL statements on the app's database.
    pub fn sql(&self, statements: &str) {
        self.connect().batch_execute(statements).unwrap();
    }

    /// Inserts an organisation with members into the database.
    pub fn org_of(&self, slug: &str, members: &[(&Person, &str)]) -> OrgId {
        let now = self.state.clock.now();
        let id = OrgId::new(now);
        let mut statements = format!(
            "INSERT INTO orgs (id, name, slug, join_policy, created_at, updated_at) \
             VALUES ('{id}', 'Org {slug}', '{slug}', 'invite_only', now(), now());"
        );
        for (person, role) in members {
            statements.push_str(&membership(id, person, role));
        }
        self.sql(&statements);
        id
    }

    /// Inserts a membership into the database.
    pub fn join_org(&self, org: OrgId, person: &Person, role: &str) {
        self.sql(&membership(org, person, role));
    }

    /// Deletes a membership from the database.
    pub fn leave_org(&self, org: OrgId, person: &Person) {
        self.sql(&format!(
            "DELETE FROM memberships WHERE org_id = '{org}' AND user_id = '{}'",
            person.id
        ));
    }

    /// The number of audit records of an action.
    pub fn records_of(&self, action: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM audit_log WHERE action = '{action}'"))
    }
}

fn membership(org: OrgId, person: &Person, role: &str) -> String {
    format!(
        "INSERT INTO memberships (id, org_id, user_id, role, joined_at) \
         VALUES (gen_random_uuid(), '{org}', '{}', '{role}', now());",
        person.id
    )
}
