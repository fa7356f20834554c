//! Organisations to test with.

use keyward::auth::OrgRole;
use keyward::ids::{Id as _, OrgId};
use keyward::memberships;
use serde_json::{Value, json};

use super::{Person, TestApp};

impl TestApp {
    /// An organisation of `owner`'s, by its id.
    pub async fn org(&self, owner: &Person, name: &str) -> String {
        self.org_with(owner, &json!({"name": name})).await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// An organisation of `owner`'s, as it was asked for.
    pub async fn org_with(&self, owner: &Person, body: &Value) -> Value {
        self.post("/orgs", body).bearer(&owner.access_token).await.expect(201)
    }

    /// Makes somebody a member, past the API.
    pub async fn join(&self, org_id: &str, person: &Person, role: OrgRole) {
        let (org_id, user_id, now) = (OrgId::parse(org_id).unwrap(), person.id, self.state.clock.now());
        self.transaction(move |connection| memberships::begin(connection, now, org_id, user_id, role))
            .await;
    }

    /// Acts in an organisation: the access token for it.
    pub async fn switch(&self, org_id: &str, person: &Person) -> String {
        self.request("POST", &format!("/orgs/{org_id}/switch"))
            .bearer(&person.access_token)
            .await
            .expect(200)["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The audit records of an organisation, oldest first: their actions.
    pub fn audited(&self, org_id: &str) -> Vec<String> {
        use diesel::prelude::*;
        use keyward::db::schema::audit_log;
        audit_log::table
            .filter(audit_log::org_id.eq(OrgId::parse(org_id).unwrap().uuid()))
            .order((audit_log::at, audit_log::id))
            .select(audit_log::action)
            .load(&mut self.connect())
            .unwrap()
    }
}
