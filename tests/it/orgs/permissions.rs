//! Every role against every route, from the permission table that the service itself uses.

use keyward::auth::OrgRole;
use keyward::orgs::OrgPermission;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Call, PASSWORD, Person, Reply, TestApp, png};

/// One person for each relation to an organisation.
struct People {
    owner: Person,
    admin: Person,
    member: Person,
    /// A second member, for the routes that name one.
    target: Person,
    invited: Person,
    requested: Person,
    former: Person,
    /// Owner of another organisation, which is active in their session.
    stranger: Person,
}

impl People {
    async fn create(app: &TestApp) -> Self {
        let mut stranger = app.person("stranger").await;
        let other = app.org(&stranger, "Other").await;
        stranger.access_token = app.switch(&other, &stranger).await;
        Self {
            owner: app.person("boss").await,
            admin: app.person("deputy").await,
            member: app.person("worker").await,
            target: app.person("target").await,
            invited: app.person("invited").await,
            requested: app.person("requested").await,
            former: app.person("former").await,
            stranger,
        }
    }

    fn callers(&self) -> [(&'static str, &Person, Option<OrgRole>); 7] {
        [
            ("owner", &self.owner, Some(OrgRole::Owner)),
            ("admin", &self.admin, Some(OrgRole::Admin)),
            ("member", &self.member, Some(OrgRole::Member)),
            ("invited", &self.invited, None),
            ("requested", &self.requested, None),
            ("former", &self.former, None),
            ("stranger", &self.stranger, None),
        ]
    }
}

/// An organisation with its members, an invitation and a request to join.
struct TestOrg {
    id: String,
    invitation: String,
    request: String,
}

impl TestOrg {
    async fn create(app: &TestApp, people: &People) -> Self {
        let body = json!({"name": "Test", "join_policy": "request"});
        let org = app.org_with(&people.owner, &body).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        for (person, role) in [
            (&people.admin, OrgRole::Admin),
            (&people.member, OrgRole::Member),
            (&people.target, OrgRole::Member),
            (&people.former, OrgRole::Owner),
        ] {
            app.join(&org, person, role).await;
        }
        app.delete(&format!("/orgs/{org}/members/{}", people.former.id))
            .bearer(&people.former.access_token)
            .await
            .expect(204);
        let invitation = app.invite(&org, &people.owner, &people.invited.email, "member").await;
        let request = app.request_to_join(&org, &people.requested).await;
        Self {
            id: org,
            invitation,
            request,
        }
    }

    /// A call of the route that needs the permission.
    fn call(&self, app: &TestApp, permission: OrgPermission, caller: &Person, target: &Person) -> Call {
        let (method, path) = permission.route();
        let path = path
            .replace("{org_id}", &self.id)
            .replace("{user_id}", &target.id.to_string())
            .replace("{own_id}", &caller.id.to_string())
            .replace("{invitation_id}", &self.invitation)
            .replace("{join_request_id}", &self.request)
            .replace("{api_key_id}", &Uuid::now_v7().to_string());
        let call = app.request(method, &path).bearer(&caller.access_token);
        match permission {
            OrgPermission::ReplaceLogo => call.body("image/png", png(4, 4)),
            _ => match body(permission, target) {
                Some(body) => call.json(&body),
                None => call,
            },
        }
    }
}

fn body(permission: OrgPermission, target: &Person) -> Option<Value> {
    match permission {
        OrgPermission::UpdateOrg => Some(json!({"description": "changed"})),
        OrgPermission::UpdateMember => Some(json!({"disabled_services": ["keyward"]})),
        OrgPermission::TransferOrg => Some(json!({"user_id": target.id, "current_password": PASSWORD})),
        OrgPermission::Invite => Some(json!({"email": "new@example.com", "role": "member"})),
        _ => None,
    }
}

/// Everything that a refused request must not change.
async fn snapshot(app: &TestApp, org: &TestOrg, people: &People) -> (Vec<String>, Vec<(String, String)>, String) {
    let response = app
        .get(&format!("/orgs/{}", org.id))
        .bearer(&people.owner.access_token)
        .await
        .expect(200)
        .to_string();
    (
        app.audit_actions(&org.id),
        app.roles(&org.id, &people.owner).await,
        response,
    )
}

/// Whether the OpenAPI document has the route of the permission.
fn has_route(document: &Value, permission: OrgPermission) -> bool {
    let (method, path) = permission.route();
    let path = path.replace("{own_id}", "{user_id}");
    document["paths"][path][method.to_lowercase()].is_object()
}

#[actix_web::test]
async fn each_permission_is_granted_from_its_minimal_role_up() {
    // It invites more addresses than a person may in an hour.
    let app = TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off")]);
    let people = People::create(&app).await;
    let document = app.get("/openapi.json").await.expect(200);
    for permission in OrgPermission::ALL
        .iter()
        .copied()
        .filter(|permission| has_route(&document, *permission))
    {
        let mut org = TestOrg::create(&app, &people).await;
        for (relation, person, role) in people.callers() {
            let before = snapshot(&app, &org, &people).await;
            let reply = org.call(&app, permission, person, &people.target).await;
            match role {
                None => assert_not_found(&app, &org, permission, person, &people.target, &reply).await,
                Some(role) if role < permission.min_role() => {
                    assert_eq!(reply.status, 403, "{permission:?} by {relation}: {}", reply.text());
                    reply.refused(403, "forbidden_role");
                }
                Some(_) => {
                    // The path names a random API key: 404 instead of 403 shows that the role was sufficient.
                    let allowed = (200..300).contains(&reply.status)
                        || (permission == OrgPermission::RevokeOrgApiKey && reply.status == 404)
                        || (permission == OrgPermission::Leave
                            && relation == "owner"
                            && reply.json()["code"] == "last_owner");
                    assert!(
                        allowed,
                        "{permission:?} by {relation}: {} {}",
                        reply.status,
                        reply.text()
                    );
                    org = TestOrg::create(&app, &people).await;
                    continue;
                }
            }
            assert_eq!(
                snapshot(&app, &org, &people).await,
                before,
                "{permission:?} by {relation} changed something"
            );
        }
    }
}

/// A person who is no member gets the same response, byte by byte, as for an organisation that does not exist.
async fn assert_not_found(
    app: &TestApp,
    org: &TestOrg,
    permission: OrgPermission,
    person: &Person,
    target: &Person,
    reply: &Reply,
) {
    assert_eq!(
        reply.status,
        404,
        "{permission:?} by {}: {}",
        person.username,
        reply.text()
    );
    let unknown_org = TestOrg {
        id: Uuid::now_v7().to_string(),
        invitation: org.invitation.clone(),
        request: org.request.clone(),
    };
    let unknown = unknown_org.call(app, permission, person, target).await;
    assert_eq!(
        reply.without_request_id(),
        unknown.without_request_id(),
        "{permission:?}"
    );
}

#[actix_web::test]
async fn a_request_without_a_credential_is_401_whatever_its_ids() {
    let app = TestApp::start();
    let document = app.get("/openapi.json").await.expect(200);
    for permission in OrgPermission::ALL
        .iter()
        .copied()
        .filter(|permission| has_route(&document, *permission))
    {
        let (method, path) = permission.route();
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        app.request(method, &path).await.refused(401, "authentication_required");
    }
}

#[actix_web::test]
async fn every_organisation_route_is_in_the_permission_table() {
    let app = TestApp::start();
    let document = app.get("/openapi.json").await.expect(200);
    // People who are no members may call these.
    let open = [
        ("post", "/orgs/{org_id}/join-requests"),
        ("get", "/orgs/{org_id}/join-requests/{join_request_id}"),
        ("delete", "/orgs/{org_id}/join-requests/{join_request_id}"),
    ];
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/orgs/{org_id}") {
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            let listed = OrgPermission::ALL.iter().any(|permission| {
                let (listed, route) = permission.route();
                listed.eq_ignore_ascii_case(method) && route == path
            });
            assert!(
                listed || open.contains(&(method.as_str(), path.as_str())),
                "{method} {path}"
            );
        }
    }
}

#[actix_web::test]
async fn only_owners_can_give_or_take_the_roles_owner_and_admin() {
    let app = TestApp::start();
    let [ada, bob, eve, kim, max] = app.people(["ada", "bob", "eve", "kim", "max"]).await;
    let body = json!({"name": "Acme", "join_policy": "request"});
    let org = app.org_with(&ada, &body).await["id"].as_str().unwrap().to_owned();
    for (person, role) in [(&bob, OrgRole::Admin), (&eve, OrgRole::Admin), (&kim, OrgRole::Member)] {
        app.join(&org, person, role).await;
    }
    let request = app.request_to_join(&org, &max).await;
    let before = app.roles(&org, &ada).await;
    let member = |person: &Person| format!("/orgs/{org}/members/{}", person.id);
    let by_bob = |call: Call| call.bearer(&bob.access_token);
    for role in ["owner", "admin"] {
        let role = json!({"role": role});
        by_bob(app.patch(&member(&kim), &role))
            .await
            .refused(403, "forbidden_role");
        by_bob(app.patch(&member(&bob), &role))
            .await
            .refused(403, "forbidden_role");
        let approve = format!("/orgs/{org}/join-requests/{request}/approve");
        by_bob(app.post(&approve, &role)).await.refused(403, "forbidden_role");
        let invite = json!({"email": "new@example.com", "role": role["role"]});
        by_bob(app.post(&format!("/orgs/{org}/invitations"), &invite))
            .await
            .refused(403, "forbidden_role");
    }
    for other in [&ada, &eve] {
        by_bob(app.patch(&member(other), &json!({"role": "member"})))
            .await
            .refused(403, "forbidden_role");
        by_bob(app.patch(&member(other), &json!({"disabled_services": []})))
            .await
            .refused(403, "forbidden_role");
        by_bob(app.delete(&member(other))).await.refused(403, "forbidden_role");
    }
    assert_eq!(app.roles(&org, &ada).await, before);
    // An admin cannot resend an invitation with the role admin, which only an owner can send.
    let offered = app.invite(&org, &ada, "chief@example.com", "admin").await;
    by_bob(app.request("POST", &format!("/orgs/{org}/invitations/{offered}/resend")))
        .await
        .refused(403, "forbidden_role");
    // An owner can do all of this.
    let by_ada = |call: Call| call.bearer(&ada.access_token);
    by_ada(app.patch(&member(&kim), &json!({"role": "owner"})))
        .await
        .expect(200);
    by_ada(app.patch(&member(&kim), &json!({"role": "admin"})))
        .await
        .expect(200);
    by_ada(app.delete(&member(&eve))).await.expect(204);
    by_ada(app.post(
        &format!("/orgs/{org}/join-requests/{request}/approve"),
        &json!({"role": "admin"}),
    ))
    .await
    .expect(200);
    assert_eq!(
        app.roles(&org, &ada).await,
        [("ada", "owner"), ("bob", "admin"), ("kim", "admin"), ("max", "admin")]
            .map(|(name, role)| (name.to_owned(), role.to_owned()))
    );
}
