//! One of everything, so that every operation can be called with ids that exist and by a caller who may.

use std::collections::BTreeMap;

use keyward::auth::OrgRole;
use serde_json::{Value, json};

use super::{Call, Person, TestApp, png};

/// A platform admin who owns an organisation, and the other things that paths name.
pub struct Fixture {
    pub admin: Person,
    /// Requested to join the organisation of `admin`.
    requester: Person,
    /// With every scope of the service.
    pub key_secret: String,
    /// By the names of the path parameters.
    ids: BTreeMap<&'static str, String>,
    /// An invitation for `admin`; `ids` has one by `admin`.
    own_invitation: String,
}

impl Fixture {
    pub async fn create(app: &TestApp) -> Self {
        let [bob, requester] = app.people(["bob", "requester"]).await;
        let admin = app.admin("ada").await;
        let body = json!({"name": "Acme", "join_policy": "request"});
        let org_id = text(&app.org_with(&admin, &body).await["id"]);
        app.join(&org_id, &bob, OrgRole::Member).await;
        let invitation_id = app.invite(&org_id, &admin, "carol@example.com", "member").await;
        let join_request_id = app.request_to_join(&org_id, &requester).await;
        let other_org = app.org(&bob, "Other").await;
        let own_invitation = app.invite(&other_org, &bob, &admin.email, "member").await;
        let scopes = json!(["keys:verify", "tokens:introspect", "keys:read", "me:read"]);
        let key = app.key(&admin, json!({"scopes": scopes, "expires_in_days": 30})).await;
        let avatar = app.request("PUT", "/me/avatar").bearer(&admin.access_token);
        let avatar = avatar.body("image/png", png(8, 8)).await.expect(200);
        let avatar_id = text(&avatar["avatar_url"]).rsplit('/').next().unwrap().to_owned();
        let notifications = app.get("/notifications").bearer(&admin.access_token).await.expect(200);
        let session = app.log_in("ada", super::PASSWORD).await;
        let ids = BTreeMap::from([
            ("org_id", org_id),
            ("user_id", bob.id.to_string()),
            ("api_key_id", key.id),
            ("session_id", text(&session["session_id"])),
            ("avatar_id", avatar_id),
            ("invitation_id", invitation_id),
            ("notification_id", text(&notifications["data"][0]["id"])),
            ("join_request_id", join_request_id),
            ("code", "not_found".to_owned()),
            ("username", "nobody".to_owned()),
        ]);
        Self {
            admin,
            requester,
            key_secret: key.secret,
            ids,
            own_invitation,
        }
    }

    /// A path of the OpenAPI document with ids that exist.
    pub fn path(&self, pattern: &str) -> String {
        let segments = pattern.split('/').skip(1).map(|segment| {
            let parameter = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            match parameter {
                None => segment,
                Some("invitation_id") if pattern.starts_with("/invitations/") => &self.own_invitation,
                Some(parameter) => &self.ids[parameter],
            }
        });
        segments.fold(String::new(), |path, segment| path + "/" + segment)
    }

    /// A request of a caller who may perform the operation; `suffix` is appended to the path.
    pub fn call(&self, app: &TestApp, method: &str, pattern: &str, operation: &Value, suffix: &str) -> Call {
        let call = app.request(method, &format!("{}{suffix}", self.path(pattern)));
        let schemes = operation["security"].as_array();
        let takes_session = schemes.is_none_or(|schemes| schemes.iter().any(|scheme| scheme.get("session").is_some()));
        match operation["operationId"].as_str().unwrap() {
            "deleteJoinRequest" => call.bearer(&self.requester.access_token),
            _ if takes_session => call.bearer(&self.admin.access_token),
            _ => call.bearer(&self.key_secret),
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
        .to_owned()
}
