//! The matrix role × route: the table the code reads, walked with every kind of person.

use keyward::auth::OrgRole;
use keyward::orgs::OrgPermission;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Call, PASSWORD, Person, Reply, TestApp, png};

/// Everybody there is, seen from one organisation.
struct Cast {
    owner: Person,
    admin: Person,
    member: Person,
    /// A second member, whom acts are done to.
    target: Person,
    invited: Person,
    requested: Person,
    former: Person,
    /// Owner of another organisation, acting in it.
    stranger: Person,
}

impl Cast {
    async fn of(app: &TestApp) -> Self {
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

/// An organisation with all of them around it.
struct Stage {
    org: String,
    invitation: String,
    request: String,
}

impl Stage {
    async fn set(app: &TestApp, cast: &Cast) -> Self {
        let body = json!({"name": "Stage", "join_policy": "request"});
        let org = app.org_with(&cast.owner, &body).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        for (person, role) in [
            (&cast.admin, OrgRole::Admin),
            (&cast.member, OrgRole::Member),
            (&cast.target, OrgRole::Member),
            (&cast.former, OrgRole::Owner),
        ] {
            app.join(&org, person, role).await;
        }
        app.delete(&format!("/orgs/{org}/members/{}", cast.former.id))
            .bearer(&cast.former.access_token)
            .await
            .expect(204);
        let invitation = app.invite(&org, &cast.owner, &cast.invited.email, "member").await;
        let request = app.ask(&org, &cast.requested).await;
        Self {
            org,
            invitation,
            request,
        }
    }

    /// The request by which somebody does `act` here.
    fn call(&self, app: &TestApp, act: OrgPermission, caller: &Person, target: &Person) -> Call {
        let (method, path) = act.route();
        let path = path
            .replace("{org_id}", &self.org)
            .replace("{user_id}", &target.id.to_string())
            .replace("{own_id}", &caller.id.to_string())
            .replace("{invitation_id}", &self.invitation)
            .replace("{join_request_id}", &self.request)
            .replace("{api_key_id}", &Uuid::now_v7().to_string());
        let call = app.request(method, &path).bearer(&caller.access_token);
        match act {
            OrgPermission::ReplaceLogo => call.body("image/png", png(4, 4)),
            _ => match body(act, target) {
                Some(body) => call.json(&body),
                None => call,
            },
        }
    }
}

fn body(act: OrgPermission, target: &Person) -> Option<Value> {
    match act {
        OrgPermission::UpdateOrg => Some(json!({"description": "changed"})),
        OrgPermission::UpdateMember => Some(json!({"disabled_services": ["keyward"]})),
        OrgPermission::TransferOrg => Some(json!({"user_id": target.id, "current_password": PASSWORD})),
        OrgPermission::Invite => Some(json!({"email": "new@example.com", "role": "member"})),
        _ => None,
    }
}

/// What anybody could see of what happened.
async fn trace(app: &TestApp, stage: &Stage, cast: &Cast) -> (Vec<String>, Vec<(String, String)>, String) {
    let org = app
        .get(&format!("/orgs/{}", stage.org))
        .bearer(&cast.owner.access_token)
        .await;
    (
        app.audited(&stage.org),
        app.roles(&stage.org, &cast.owner).await,
        org.expect(200).to_string(),
    )
}

fn offers(document: &Value, act: OrgPermission) -> bool {
    let (method, path) = act.route();
    let path = path.replace("{own_id}", "{user_id}");
    document["paths"][path][method.to_lowercase()].is_object()
}

#[actix_web::test]
async fn each_act_is_open_from_its_role_on_and_closed_below() {
    let app = TestApp::start();
    let cast = Cast::of(&app).await;
    let document = app.get("/openapi.json").await.expect(200);
    for act in OrgPermission::ALL.iter().copied().filter(|act| offers(&document, *act)) {
        let mut stage = Stage::set(&app, &cast).await;
        for (who, person, role) in cast.callers() {
            let before = trace(&app, &stage, &cast).await;
            let reply = stage.call(&app, act, person, &cast.target).await;
            match role {
                None => refused_as_unknown(&app, &stage, act, person, &cast.target, &reply).await,
                Some(role) if role < act.min_role() => {
                    assert_eq!(reply.status, 403, "{act:?} by {who}: {}", reply.text());
                    reply.refused(403, "forbidden_role");
                }
                Some(_) => {
                    // An unknown key is all there is to revoke here: 404 after the role is as good as done.
                    let done = (200..300).contains(&reply.status)
                        || (act == OrgPermission::RevokeOrgApiKey && reply.status == 404)
                        || (act == OrgPermission::Leave && who == "owner" && reply.json()["code"] == "last_owner");
                    assert!(done, "{act:?} by {who}: {} {}", reply.status, reply.text());
                    stage = Stage::set(&app, &cast).await;
                    continue;
                }
            }
            assert_eq!(
                trace(&app, &stage, &cast).await,
                before,
                "{act:?} by {who} left a trace"
            );
        }
    }
}

/// To who is no member there is no such organisation: the same answer, byte by byte, as for one that never was.
async fn refused_as_unknown(
    app: &TestApp,
    stage: &Stage,
    act: OrgPermission,
    person: &Person,
    target: &Person,
    reply: &Reply,
) {
    assert_eq!(reply.status, 404, "{act:?} by {}: {}", person.username, reply.text());
    let nowhere = Stage {
        org: Uuid::now_v7().to_string(),
        invitation: stage.invitation.clone(),
        request: stage.request.clone(),
    };
    let unknown = nowhere.call(app, act, person, target).await;
    assert_eq!(reply.without_request_id(), unknown.without_request_id(), "{act:?}");
}

#[actix_web::test]
async fn without_a_credential_nothing_is_looked_at() {
    let app = TestApp::start();
    let document = app.get("/openapi.json").await.expect(200);
    for act in OrgPermission::ALL.iter().copied().filter(|act| offers(&document, *act)) {
        let (method, path) = act.route();
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        app.request(method, &path).await.refused(401, "authentication_required");
    }
}

#[actix_web::test]
async fn every_route_below_an_organisation_stands_in_the_table() {
    let app = TestApp::start();
    let document = app.get("/openapi.json").await.expect(200);
    // These are open to people who are no members.
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
            let listed = OrgPermission::ALL.iter().any(|act| {
                let (listed, route) = act.route();
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
async fn only_owners_make_and_unmake_owners_and_admins_by_whatever_road() {
    let app = TestApp::start();
    let [ada, bob, eve, kim, max] = app.people(["ada", "bob", "eve", "kim", "max"]).await;
    let body = json!({"name": "Acme", "join_policy": "request"});
    let org = app.org_with(&ada, &body).await["id"].as_str().unwrap().to_owned();
    for (person, role) in [(&bob, OrgRole::Admin), (&eve, OrgRole::Admin), (&kim, OrgRole::Member)] {
        app.join(&org, person, role).await;
    }
    let request = app.ask(&org, &max).await;
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
    // What an owner offered, an admin cannot prolong.
    let offered = app.invite(&org, &ada, "chief@example.com", "admin").await;
    by_bob(app.request("POST", &format!("/orgs/{org}/invitations/{offered}/resend")))
        .await
        .refused(403, "forbidden_role");
    // Owners can do all of it.
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
