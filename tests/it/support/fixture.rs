//! One of everything, so that every operation can be called with ids that exist and by a caller who may.

use std::collections::BTreeMap;

use keyward::auth::OrgRole;
use serde_json::{Value, json};

use super::{Call, Operation, PASSWORD, Person, TestApp, png};

/// A platform admin who owns an organisation, and the other things that operations need.
///
/// Every operation of the OpenAPI document succeeds once with [`Fixture::valid_call`].
pub struct Fixture {
    pub admin: Person,
    /// Requested to join the organisation of `admin`.
    requester: Person,
    /// Belongs to no organisation.
    outsider: Person,
    /// With every scope of the service.
    pub key_secret: String,
    /// By the names of the path parameters.
    ids: BTreeMap<&'static str, String>,
    /// An invitation for `admin`; `ids` has one by `admin`.
    own_invitation: String,
    /// A key that acts in the organisation of `admin`; the one in `ids` is personal.
    org_key: String,
    /// Of the organisation in `ids`.
    org_slug: String,
    /// An organisation whose only owner is disabled. Its other member is the user in `ids`.
    ownerless_org: String,
    /// By the page that the mail links to.
    mailed_tokens: BTreeMap<&'static str, String>,
}

/// Who performs an operation.
#[derive(Clone, Copy, Debug)]
enum Actor {
    Nobody,
    Admin,
    Requester,
    Outsider,
    ApiKey,
}

impl Fixture {
    pub async fn create(app: &TestApp) -> Self {
        Self::create_with_suffix(app, "").await
    }

    /// For several fixtures in one app: the suffix makes the names unique.
    pub async fn create_with_suffix(app: &TestApp, suffix: &str) -> Self {
        let name = |name: &str| format!("{name}{suffix}");
        let [bob, requester, outsider, former_owner] = app
            .people([
                &name("bob"),
                &name("requester"),
                &name("outsider"),
                &name("former-owner"),
            ])
            .await;
        let admin = app.admin(&name("ada")).await;
        let org_slug = name("acme");
        let body = json!({"name": "Acme", "slug": org_slug, "join_policy": "request"});
        let org_id = text(&app.org_with(&admin, &body).await["id"]);
        app.join(&org_id, &bob, OrgRole::Member).await;
        let invitee = name("carol") + "@example.com";
        let invitation_id = app.invite(&org_id, &admin, &invitee, "member").await;
        let join_request_id = app.request_to_join(&org_id, &requester).await;
        let other_org = app.org(&bob, "Other").await;
        let own_invitation = app.invite(&other_org, &bob, &admin.email, "member").await;
        let ownerless_org = app.org(&former_owner, "Ownerless").await;
        app.join(&ownerless_org, &bob, OrgRole::Member).await;
        app.patch(&format!("/admin/users/{}", former_owner.id), &json!({"disabled": true}))
            .bearer(&admin.access_token)
            .await
            .expect(200);
        let scopes = json!([
            "keys:verify",
            "tokens:introspect",
            "keys:read",
            "me:read",
            "me:write",
            "orgs:read",
            "members:read",
            "notifications:read"
        ]);
        let key = app.key(&admin, json!({"scopes": scopes, "expires_in_days": 30})).await;
        let org_key = app.key(&admin, json!({"org_id": org_id})).await;
        for path in ["/me/avatar", &format!("/orgs/{org_id}/logo")] {
            let put = app.request("PUT", path).bearer(&admin.access_token);
            put.body("image/png", png(8, 8)).await.expect(200);
        }
        let me = app.get("/me").bearer(&admin.access_token).await.expect(200);
        let avatar_id = text(&me["avatar_url"]).rsplit('/').next().unwrap().to_owned();
        let notifications = app.get("/notifications").bearer(&admin.access_token).await.expect(200);
        let session = app.log_in(&admin.username, PASSWORD).await;
        let mailed_tokens = mailed_tokens(app, &admin, &bob, suffix).await;
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
            outsider,
            key_secret: key.secret,
            ids,
            own_invitation,
            org_key: org_key.id,
            org_slug,
            ownerless_org,
            mailed_tokens,
        }
    }

    /// The people who perform the operations of sessions.
    pub fn callers(&self) -> [&Person; 3] {
        [&self.admin, &self.requester, &self.outsider]
    }

    /// The organisation of `admin`.
    pub fn org_id(&self) -> &str {
        &self.ids["org_id"]
    }

    /// The path of an operation with ids that exist.
    pub fn path(&self, operation: &Operation) -> String {
        let pattern = operation.pattern.as_str();
        let segments = pattern.split('/').skip(1).map(|segment| {
            let parameter = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            match parameter {
                None => segment,
                Some("invitation_id") if pattern.starts_with("/invitations/") => &self.own_invitation,
                Some("api_key_id") if pattern.starts_with("/orgs/") => &self.org_key,
                Some("org_id") if pattern.starts_with("/admin/") => &self.ownerless_org,
                Some(parameter) => &self.ids[parameter],
            }
        });
        segments.fold(String::new(), |path, segment| path + "/" + segment)
    }

    /// Who may perform an operation.
    fn actor(operation: &Operation) -> Actor {
        match operation.id.as_str() {
            "deleteJoinRequest" => Actor::Requester,
            "createJoinRequest" | "deleteMe" => Actor::Outsider,
            _ if operation.takes("session") => Actor::Admin,
            _ if operation.takes("api_key") => Actor::ApiKey,
            _ => Actor::Nobody,
        }
    }

    /// The person who performs an operation; with an API key, its owner.
    fn person(&self, operation: &Operation) -> &Person {
        match Self::actor(operation) {
            Actor::Requester => &self.requester,
            Actor::Outsider => &self.outsider,
            Actor::Nobody | Actor::Admin | Actor::ApiKey => &self.admin,
        }
    }

    /// The credential of the caller who may perform an operation; none for a public one.
    pub fn credential(&self, operation: &Operation) -> Option<&str> {
        match Self::actor(operation) {
            Actor::Nobody => None,
            Actor::ApiKey => Some(&self.key_secret),
            Actor::Admin | Actor::Requester | Actor::Outsider => Some(&self.person(operation).access_token),
        }
    }

    /// A request without a body of a caller who may perform the operation; `suffix` is appended to the path.
    pub fn call(&self, app: &TestApp, operation: &Operation, suffix: &str) -> Call {
        self.call_with(app, operation, suffix, self.credential(operation))
    }

    fn call_with(&self, app: &TestApp, operation: &Operation, suffix: &str, credential: Option<&str>) -> Call {
        let call = app.request(&operation.method, &format!("{}{suffix}", self.path(operation)));
        match credential {
            Some(credential) => call.bearer(credential),
            None => call,
        }
    }

    /// A request that succeeds and, unless the operation only reads, changes something.
    pub fn valid_call(&self, app: &TestApp, operation: &Operation) -> Call {
        self.valid_call_with(app, operation, self.credential(operation))
    }

    /// Like [`Fixture::valid_call`], with another credential.
    pub fn valid_call_with(&self, app: &TestApp, operation: &Operation, credential: Option<&str>) -> Call {
        let call = self.call_with(app, operation, &self.query(operation), credential);
        if operation.accepts("image/png") {
            return call.body("image/png", png(1, 1));
        }
        if operation.accepts("application/x-www-form-urlencoded") {
            let form = format!("token={}", self.key_secret);
            return call.body("application/x-www-form-urlencoded", form);
        }
        match self.valid_body(operation) {
            Some(body) => call.json(&body),
            None => call,
        }
    }

    fn query(&self, operation: &Operation) -> String {
        match operation.id.as_str() {
            "lookUpOrg" => format!("?slug={}", self.org_slug),
            _ => String::new(),
        }
    }

    /// The JSON body of [`Fixture::valid_call`]; none where the operation takes none or needs none.
    pub fn valid_body(&self, operation: &Operation) -> Option<Value> {
        const NEW_PASSWORD: &str = "quiet-lantern-orbit-mosaic";
        let token = |page| self.mailed_tokens[page].clone();
        let body = match operation.id.as_str() {
            "acceptMailedInvitation" => json!({"token": token("invitation")}),
            "appointOrgOwner" => json!({"user_id": self.ids["user_id"]}),
            "approveJoinRequest" => json!({"role": "member"}),
            "changePassword" => json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD}),
            "checkPassword" => json!({"password": NEW_PASSWORD}),
            "confirmEmailChange" => json!({"token": token("confirm-email")}),
            "createAnnouncement" => json!({"title": "Maintenance", "body": "On Sunday."}),
            "createApiKey" => json!({"name": "new key", "current_password": PASSWORD}),
            "createInvitation" => json!({"email": "dora@example.com", "role": "member"}),
            "createJoinRequest" => json!({"message": "Please."}),
            "createOrg" => json!({"name": "Third"}),
            "deleteApiKeys" => json!({"ids": [self.ids["api_key_id"]]}),
            "deleteMe" | "deleteOrg" | "reauthenticate" => json!({"current_password": PASSWORD}),
            "extendApiKey" => json!({"days": 1}),
            "forgetPassword" | "resendVerification" => json!({"email": "erin@example.com"}),
            "logIn" => json!({"login": self.admin.username, "password": PASSWORD}),
            "refreshSession" => json!({"refresh_token": self.admin.refresh_token}),
            "registerUser" => json!({"email": "frank@example.com", "password": PASSWORD}),
            "rejectJoinRequest" => json!({"reason": "No."}),
            "replaceNotificationPreferences" => json!({"mail": {"announcement": false}}),
            "requestEmailChange" => json!({"new_email": "ada2@example.com"}),
            "resetPassword" => json!({"token": token("reset-password"), "new_password": NEW_PASSWORD}),
            "revertEmailChange" => json!({"token": token("revert-email")}),
            "rotateApiKey" => json!({"current_password": PASSWORD, "grace_seconds": 0}),
            "transferOrg" => json!({"user_id": self.ids["user_id"], "current_password": PASSWORD}),
            "updateApiKey" => json!({"remark": "changed"}),
            "updateMe" => json!({"nickname": "Changed"}),
            "updateMember" | "updateUser" => json!({"role": "admin"}),
            "updateNotification" => json!({"state": "read"}),
            "updateOrg" => json!({"description": "Changed."}),
            "verifyApiKey" => json!({"key": self.key_secret}),
            "verifyEmail" => json!({"token": token("verify-email"), "password": PASSWORD}),
            _ => return None,
        };
        Some(body)
    }
}

/// Causes a mail with each kind of link, and returns the tokens by the page that they are for. `admin` has been invited.
async fn mailed_tokens(app: &TestApp, admin: &Person, other: &Person, suffix: &str) -> BTreeMap<&'static str, String> {
    let new_email = format!("new{suffix}@example.com");
    let registered = format!("new-user{suffix}@example.com");
    app.post("/email", &json!({"new_email": new_email}))
        .bearer(&admin.access_token)
        .await
        .expect(202);
    // The fixtures of one test may ask for more mails than one network can.
    app.sql("DELETE FROM mail_requests");
    app.post("/auth/register", &json!({"email": registered, "password": PASSWORD}))
        .await
        .expect(202);
    app.post("/password/forgot", &json!({"email": other.email}))
        .await
        .expect(202);
    let mails = app.mails().await;
    let token = |address: &str, page: &'static str| {
        let mut sent = mails.iter().filter(|mail| mail.to == address).rev();
        let found = sent.find_map(|mail| mail.link().filter(|(linked, _)| linked == page));
        (
            page,
            found.unwrap_or_else(|| panic!("no mail with {page} to {address}")).1,
        )
    };
    BTreeMap::from([
        token(&new_email, "confirm-email"),
        token(&admin.email, "revert-email"),
        token(&admin.email, "invitation"),
        token(&other.email, "reset-password"),
        token(&registered, "verify-email"),
    ])
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
        .to_owned()
}
