//! A credential is revoked after the head of a request was sent and before its body arrives: every operation that changes
//! something is refused like a request that begins after the revocation, and changes nothing.

use keyward::auth::OrgRole;
use serde_json::json;

use crate::support::{Fixture, HeldRequest, Operation, PASSWORD, Person, TestApp, code_of};

/// Operations that are not GET and change nothing.
const VERIFYING: [&str; 2] = ["introspectToken", "verifyApiKey"];

/// The operations that change something and need a credential of this kind.
fn changes(scheme: &str) -> Vec<Operation> {
    let mut operations = Operation::all();
    operations.retain(|operation| {
        operation.method != "GET" && operation.takes(scheme) && !VERIFYING.contains(&operation.id.as_str())
    });
    assert!(operations.len() > 1, "{scheme}");
    operations
}

/// A digest of every table, without what a check of a wrong password records.
fn contents(app: &TestApp) -> i64 {
    app.sql(
        "CREATE OR REPLACE FUNCTION contents() RETURNS bigint LANGUAGE plpgsql AS $$
         DECLARE name text; digest bigint := 0; part bigint; BEGIN
             FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                 AND relname <> 'password_attempts' ORDER BY relname
             LOOP
                 EXECUTE format('SELECT coalesce(sum(hashtextextended(t::text, 0)::numeric %% 1000000007), 0)::bigint FROM %I t
                     WHERE to_jsonb(t) ->> ''action'' IS DISTINCT FROM ''password.check_failed''', name) INTO part;
                 digest := digest # hashtextextended(name || part, 0);
             END LOOP;
             RETURN digest;
         END $$",
    );
    app.number("contents()")
}

struct Held<'a> {
    operation: &'a Operation,
    credential: String,
    request: HeldRequest,
}

/// Two instances: requests are held on one while the other revokes their credentials.
pub struct Instances {
    holding: TestApp,
    revoking: TestApp,
    /// Disables, demotes and the like.
    zoe: Person,
}

impl Instances {
    pub async fn start() -> Self {
        let holding = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off"), ("KEYWARD_DB_POOL_SIZE", "50")]);
        Self {
            revoking: holding.another(),
            zoe: holding.admin("zoe").await,
            holding,
        }
    }

    /// Begins operations, with a session or with an API key, and waits until all of them wait for their bodies.
    async fn begin<'a>(&self, fixture: &Fixture, operations: &'a [Operation], key: Option<&str>) -> Vec<Held<'a>> {
        let app = &self.holding;
        let mut held = Vec::new();
        for operation in operations {
            let credential = key.or_else(|| fixture.credential(operation)).unwrap().to_owned();
            // Puts the credential into the cache, so that the held request is authenticated at once.
            app.get("/me").bearer(&credential).await.expect(200);
            let call = fixture.valid_call_with(app, operation, Some(&credential));
            held.push(Held {
                operation,
                credential,
                request: HeldRequest::begin(app, call),
            });
        }
        // The look-ups that some of the handlers do before they read the body have a queue of threads, and were added first.
        for _ in 0..50 {
            app.get("/usernames/nobody")
                .bearer(&fixture.admin.access_token)
                .await
                .expect(200);
        }
        held
    }

    /// Sends the bodies, and compares each response with that to a new request.
    async fn finish(&self, fixture: &Fixture, held: Vec<Held<'_>>, revocation: &str) {
        // A new request goes to the instance that has revoked the credential: it knows at once.
        let app = &self.revoking;
        let before = contents(app);
        let mut wrong = Vec::new();
        for Held {
            operation,
            credential,
            request,
        } in held
        {
            let found = request.finish();
            let new = fixture.valid_call_with(app, operation, Some(&credential)).await;
            assert!(new.status >= 400, "{revocation}, new {operation}: {}", new.status);
            // The password may be checked before the session.
            let has_wrong_password = revocation == "password changed" && found == (422, "validation_error".to_owned());
            if found != (new.status, code_of(&new.text())) && !has_wrong_password {
                wrong.push(format!("{operation}: {found:?} instead of {}", new.text()));
            }
        }
        assert!(wrong.is_empty(), "{revocation}: {wrong:#?}");
        assert_eq!(contents(app), before, "{revocation}: something changed");
    }

    /// Ends a session, or all that its user can do, in one of the ways there are.
    async fn revoke(&self, person: &Person, how: &str) {
        let (app, zoe) = (&self.revoking, &self.zoe);
        let other = app.log_in(&person.username, PASSWORD).await;
        let other = other["access_token"].as_str().unwrap();
        let user = format!("/admin/users/{}", person.id);
        let call = match how {
            "logged out" => app.request("POST", "/auth/logout").bearer(&person.access_token),
            "session ended" => app
                .delete(&format!("/auth/sessions/{}", person.session_id))
                .bearer(other),
            "password changed" => {
                let body = json!({"current_password": PASSWORD, "new_password": "other-lantern-orbit-mosaic"});
                app.put("/password", &body).bearer(other)
            }
            "sessions ended by an admin" => app
                .request("POST", &format!("{user}/revoke-sessions"))
                .bearer(&zoe.access_token),
            "disabled" => app.patch(&user, &json!({"disabled": true})).bearer(&zoe.access_token),
            "account deleted" => app.delete("/me").bearer(other),
            how => panic!("{how}"),
        };
        let status = call.await.status;
        assert!(status < 300, "{how}: {status}");
    }

    /// Holds all operations of sessions back while these are revoked in every way.
    pub async fn revoke_sessions(&self, suffix: &str) {
        let operations = changes("session");
        assert!(operations.len() > 40, "{}", operations.len());
        let ways = [
            "logged out",
            "session ended",
            "password changed",
            "sessions ended by an admin",
            "disabled",
            "account deleted",
        ];
        for (number, how) in ways.into_iter().enumerate() {
            let fixture = Fixture::create_with_suffix(&self.holding, &format!("{number}{suffix}")).await;
            if how == "account deleted" {
                // So that the organisations have another owner.
                self.holding.sql("UPDATE memberships SET role = 'owner'");
            }
            let held = self.begin(&fixture, &operations, None).await;
            for person in fixture.callers() {
                self.revoke(person, how).await;
            }
            self.finish(&fixture, held, how).await;
        }
    }

    /// Holds the operations of platform admins back while one is demoted.
    pub async fn demote_admin(&self, suffix: &str) {
        let fixture = Fixture::create_with_suffix(&self.holding, suffix).await;
        let mut operations = changes("session");
        operations.retain(|operation| operation.pattern.starts_with("/admin/"));
        let held = self.begin(&fixture, &operations, None).await;
        self.revoking
            .patch(&format!("/admin/users/{}", fixture.admin.id), &json!({"role": "user"}))
            .bearer(&self.zoe.access_token)
            .await
            .expect(200);
        self.finish(&fixture, held, "demoted").await;
    }

    /// Holds the operations of a member back who is removed or demoted.
    pub async fn change_member(&self, suffix: &str) {
        let ways = [("removed", true), ("removed", false), ("demoted", false)];
        for (number, (how, acts_in_org)) in ways.into_iter().enumerate() {
            let mut fixture = Fixture::create_with_suffix(&self.holding, &format!("{number}{suffix}")).await;
            let org_id = fixture.org_id().to_owned();
            let owner = self.holding.person(&format!("owner{number}{suffix}")).await;
            self.holding.join(&org_id, &owner, OrgRole::Owner).await;
            let mut operations = changes("session");
            // A session that acts in the organisation ends with the membership, whatever the operation is about.
            operations.retain(|operation| {
                let by_admin = fixture.credential(operation) == Some(fixture.admin.access_token.as_str());
                let needs_role = operation.pattern.starts_with("/orgs/{org_id}") && operation.id != "switchOrg";
                by_admin && (acts_in_org || needs_role)
            });
            if acts_in_org {
                fixture.admin.access_token = self.holding.switch(&org_id, &fixture.admin).await;
            }
            let held = self.begin(&fixture, &operations, None).await;
            let member = format!("/orgs/{org_id}/members/{}", fixture.admin.id);
            let call = match how {
                "removed" => self.revoking.delete(&member),
                _ => self.revoking.patch(&member, &json!({"role": "member"})),
            };
            assert!(call.bearer(&owner.access_token).await.status < 300);
            self.finish(&fixture, held, how).await;
        }
    }

    /// Holds all operations of API keys back while these are revoked in every way.
    pub async fn revoke_keys(&self, suffix: &str) {
        let ways = [
            "deleted",
            "disabled",
            "rotated",
            "narrowed to no scope",
            "narrowed to a network",
            "owner disabled",
        ];
        for (number, how) in ways.into_iter().enumerate() {
            let fixture = Fixture::create_with_suffix(&self.holding, &format!("{number}{suffix}")).await;
            let mut operations = changes("api_key");
            if how == "narrowed to no scope" {
                operations.retain(|operation| operation.id != "deleteCurrentApiKey");
            }
            let held = self.begin(&fixture, &operations, Some(&fixture.key_secret)).await;
            self.revoke_key(&fixture, how).await;
            self.finish(&fixture, held, how).await;
        }
    }

    async fn revoke_key(&self, fixture: &Fixture, how: &str) {
        let (app, owner) = (&self.revoking, &fixture.admin);
        let key = app
            .get("/api-keys/current")
            .bearer(&fixture.key_secret)
            .await
            .expect(200);
        let path = format!("/api-keys/{}", key["id"].as_str().unwrap());
        let call = match how {
            "deleted" => app.delete(&path),
            "disabled" => app.patch(&path, &json!({"enabled": false})),
            "rotated" => {
                let body = json!({"grace_seconds": 0, "current_password": PASSWORD});
                app.post(&format!("{path}/rotate"), &body)
            }
            "narrowed to no scope" => app.patch(&path, &json!({"scopes": []})),
            "narrowed to a network" => app.patch(&path, &json!({"allowed_ips": ["10.0.0.0/8"]})),
            "owner disabled" => app.patch(&format!("/admin/users/{}", owner.id), &json!({"disabled": true})),
            how => panic!("{how}"),
        };
        let revoker = if how == "owner disabled" { &self.zoe } else { owner };
        assert!(call.bearer(&revoker.access_token).await.status < 300, "{how}");
    }
}

#[actix_web::test]
async fn a_held_request_of_a_session_that_is_revoked_is_refused() {
    Instances::start().await.revoke_sessions("").await;
}

#[actix_web::test]
async fn a_held_request_of_a_platform_admin_who_is_demoted_is_refused() {
    Instances::start().await.demote_admin("").await;
}

#[actix_web::test]
async fn a_held_request_of_a_member_who_is_removed_or_demoted_is_refused() {
    Instances::start().await.change_member("").await;
}

#[actix_web::test]
async fn a_held_request_with_an_api_key_that_is_revoked_is_refused() {
    Instances::start().await.revoke_keys("").await;
}
