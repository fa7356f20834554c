//! Organisations, their members, invitations and requests.

use keyward::auth::OrgRole;
use keyward::orgs::membership;
use keyward::values::ids::{Id as _, OrgId};
use serde_json::{Value, json};

use super::{Person, TestApp};

impl TestApp {
    /// Creates an organisation and returns its id.
    pub async fn org(&self, owner: &Person, name: &str) -> String {
        self.org_with(owner, &json!({"name": name})).await["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Creates an organisation and returns the response.
    pub async fn org_with(&self, owner: &Person, body: &Value) -> Value {
        self.post("/orgs", body).bearer(&owner.access_token).await.expect(201)
    }

    /// Inserts a membership without an invitation.
    pub async fn join(&self, org_id: &str, person: &Person, role: OrgRole) {
        let (org_id, user_id) = (OrgId::parse(org_id).unwrap(), person.id);
        self.transaction(move |tx| membership::insert(tx, org_id, user_id, role))
            .await;
    }

    /// Switches the session of a person to an organisation and returns the access token.
    pub async fn switch(&self, org_id: &str, person: &Person) -> String {
        self.request("POST", &format!("/orgs/{org_id}/switch"))
            .bearer(&person.access_token)
            .await
            .expect(200)["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The actions in the audit log of an organisation, oldest first.
    pub fn audit_actions(&self, org_id: &str) -> Vec<String> {
        use diesel::prelude::*;
        use keyward::db::schema::audit_log;
        audit_log::table
            .filter(audit_log::org_id.eq(OrgId::parse(org_id).unwrap().uuid()))
            .order((audit_log::at, audit_log::id))
            .select(audit_log::action)
            .load(&mut self.connect())
            .unwrap()
    }

    /// Usernames and roles of the members, sorted.
    pub async fn roles(&self, org_id: &str, seen_by: &Person) -> Vec<(String, String)> {
        let page = self
            .get(&format!("/orgs/{org_id}/members?limit=100"))
            .bearer(&seen_by.access_token)
            .await
            .expect(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut roles: Vec<_> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| (text(&member["username"]), text(&member["role"])))
            .collect();
        roles.sort();
        roles
    }

    /// Invites an address and returns the id of the invitation.
    pub async fn invite(&self, org_id: &str, inviter: &Person, email: &str, role: &str) -> String {
        let body = json!({"email": email, "role": role});
        self.post(&format!("/orgs/{org_id}/invitations"), &body)
            .bearer(&inviter.access_token)
            .await
            .expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Requests to join an organisation and returns the id of the request.
    pub async fn request_to_join(&self, org_id: &str, person: &Person) -> String {
        self.request("POST", &format!("/orgs/{org_id}/join-requests"))
            .bearer(&person.access_token)
            .await
            .expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The number of notifications of a type, and how many of them are resolved.
    pub fn notification_counts(&self, person: &Person, kind: &str) -> (usize, usize) {
        use diesel::prelude::*;
        use keyward::db::schema::notifications;
        let resolved: Vec<Option<chrono::DateTime<chrono::Utc>>> = notifications::table
            .filter(notifications::user_id.eq(person.id))
            .filter(notifications::type_.eq(kind))
            .select(notifications::resolved_at)
            .load(&mut self.connect())
            .unwrap();
        (resolved.len(), resolved.iter().flatten().count())
    }
}
