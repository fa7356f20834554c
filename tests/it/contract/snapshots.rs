//! The bodies of the most important responses, field by field.

use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, redacted};

#[actix_web::test]
async fn tokens() {
    let app = TestApp::start();
    app.person("ada").await;
    assert_json_snapshot!(redacted(app.log_in("ada", PASSWORD).await), @r#"
    {
      "access_token": "[access_token]",
      "token_type": "Bearer",
      "expires_in": 600,
      "refresh_token": "[refresh_token]",
      "refresh_token_expires_at": "[timestamp]",
      "session_id": "[id]",
      "profile_complete": false,
      "org": null
    }
    "#);
}

#[actix_web::test]
async fn the_profile_of_the_caller() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let me = app.get("/me").bearer(&ada.access_token).await.expect(200);
    assert_json_snapshot!(redacted(me), @r#"
    {
      "id": "[id]",
      "email": "ada@example.com",
      "email_verified": true,
      "pending_email": null,
      "username": "ada",
      "nickname": null,
      "avatar_url": null,
      "role": "user",
      "locale": "en",
      "time_zone": "UTC",
      "profile_complete": false,
      "org": null,
      "unread_notifications": 0,
      "created_at": "[timestamp]",
      "updated_at": "[timestamp]",
      "last_login_at": "[timestamp]"
    }
    "#);
}

#[actix_web::test]
async fn a_created_api_key() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let key = app
        .key(&ada, json!({"scopes": ["me:read"], "expires_in_days": 30}))
        .await;
    assert_json_snapshot!(redacted(key.body), @r#"
    {
      "id": "[id]",
      "name": "a key",
      "hint": "[hint]",
      "org": null,
      "scopes": [
        "me:read"
      ],
      "effective_scopes": [
        "me:read"
      ],
      "remark": null,
      "status": "active",
      "status_reason": null,
      "enabled": true,
      "allowed_ips": [],
      "expires_at": "[timestamp]",
      "last_used_at": null,
      "last_used_ip": null,
      "previous_secret_expires_at": null,
      "created_at": "[timestamp]",
      "updated_at": "[timestamp]",
      "secret": "[secret]"
    }
    "#);
}

#[actix_web::test]
async fn a_page_of_api_keys() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.key(&ada, json!({"allowed_ips": ["192.0.2.0/24"]})).await;
    let page = app.get("/api-keys").bearer(&ada.access_token).await.expect(200);
    assert_json_snapshot!(redacted(page), @r#"
    {
      "data": [
        {
          "id": "[id]",
          "name": "a key",
          "hint": "[hint]",
          "org": null,
          "scopes": [],
          "effective_scopes": [],
          "remark": null,
          "status": "active",
          "status_reason": null,
          "enabled": true,
          "allowed_ips": [
            "192.0.2.0/24"
          ],
          "expires_at": null,
          "last_used_at": null,
          "last_used_ip": null,
          "previous_secret_expires_at": null,
          "created_at": "[timestamp]",
          "updated_at": "[timestamp]"
        }
      ],
      "next_cursor": null
    }
    "#);
}

#[actix_web::test]
async fn the_verdicts_about_a_valid_and_an_unknown_api_key() {
    let app = TestApp::start();
    let admin = app.admin("ada").await;
    let org = app.org_with(&admin, &json!({"name": "Acme", "slug": "acme"})).await;
    let gateway = app.key(&admin, json!({"scopes": ["keys:verify"]})).await;
    let key = app
        .key(&admin, json!({"org_id": org["id"], "scopes": ["orgs:read"]}))
        .await;
    let verify = async |secret: &str| {
        let call = app
            .post("/api-keys/verify", &json!({"key": secret}))
            .bearer(&gateway.secret);
        redacted(call.await.expect(200))
    };
    assert_json_snapshot!(verify(&key.secret).await, @r#"
    {
      "valid": true,
      "code": "valid",
      "key_id": "[id]",
      "name": "a key",
      "user": {
        "id": "[id]",
        "username": "ada"
      },
      "org": {
        "id": "[id]",
        "slug": "acme",
        "role": "owner"
      },
      "scopes": [
        "orgs:read"
      ],
      "expires_at": null,
      "rotated": false
    }
    "#);
    let unknown = keyward::api_keys::generate(&app.state.config.key_prefix).unwrap();
    assert_json_snapshot!(verify(unknown.expose()).await, @r#"
    {
      "valid": false,
      "code": "unknown",
      "key_id": null,
      "name": null,
      "user": null,
      "org": null,
      "scopes": null,
      "expires_at": null,
      "rotated": null
    }
    "#);
}

#[actix_web::test]
async fn a_problem_with_every_invalid_field() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let body = json!({"name": "", "slug": "no slug!", "surprise": 1});
    let call = app.post("/orgs", &body).bearer(&ada.access_token);
    let reply = call.await;
    reply.expect_status(422);
    assert_json_snapshot!(redacted(reply.json()), @r##"
    {
      "type": "http://keyward.test/problems/validation_error",
      "title": "Validation failed",
      "status": 422,
      "code": "validation_error",
      "detail": "3 fields are not valid.",
      "request_id": "[request_id]",
      "errors": [
        {
          "pointer": "#/name",
          "code": "too_short",
          "detail": "Use at least 1 character.",
          "params": {
            "min": 1
          }
        },
        {
          "pointer": "#/slug",
          "code": "invalid_format",
          "detail": "Use letters a-z and digits, with single hyphens between them.",
          "params": {}
        },
        {
          "pointer": "#/surprise",
          "code": "unknown_field",
          "detail": "There is no such field. Remove it, or check its spelling.",
          "params": {}
        }
      ]
    }
    "##);
}

#[actix_web::test]
async fn an_organisation() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let org = app.org_with(&ada, &json!({"name": "Acme", "slug": "acme"})).await;
    assert_json_snapshot!(redacted(org), @r#"
    {
      "id": "[id]",
      "name": "Acme",
      "slug": "acme",
      "description": null,
      "logo_url": null,
      "join_policy": "invite_only",
      "role": "owner",
      "member_count": 1,
      "created_at": "[timestamp]",
      "updated_at": "[timestamp]"
    }
    "#);
}

#[actix_web::test]
async fn an_invitation_and_its_notification() {
    let app = TestApp::start();
    let [ada, bob] = app.people(["ada", "bob"]).await;
    let org = app.org(&ada, "Acme").await;
    let body = json!({"email": bob.email, "role": "member"});
    let path = format!("/orgs/{org}/invitations");
    let invitation = app.post(&path, &body).bearer(&ada.access_token).await.expect(201);
    assert_json_snapshot!(redacted(invitation), @r#"
    {
      "id": "[id]",
      "email": "bob@example.com",
      "role": "member",
      "state": "pending",
      "org": {
        "id": "[id]",
        "name": "Acme",
        "slug": "acme"
      },
      "invited_by": {
        "id": "[id]",
        "username": "ada",
        "nickname": null,
        "avatar_url": null
      },
      "created_at": "[timestamp]",
      "expires_at": "[timestamp]"
    }
    "#);
    let notifications = app.get("/notifications").bearer(&bob.access_token).await.expect(200);
    assert_json_snapshot!(redacted(notifications), @r#"
    {
      "data": [
        {
          "id": "[id]",
          "type": "org_invitation",
          "title": "Invitation to Acme",
          "body": "ada invites you to join \"Acme\" as member.",
          "data": {
            "role": "member",
            "org_id": "[id]",
            "org_name": "Acme",
            "invited_by": "ada",
            "invitation_id": "[id]"
          },
          "actions": [
            {
              "name": "accept",
              "method": "POST",
              "path": "/invitations/[id]/accept"
            },
            {
              "name": "decline",
              "method": "POST",
              "path": "/invitations/[id]/decline"
            }
          ],
          "state": "unread",
          "resolved_at": null,
          "created_at": "[timestamp]"
        }
      ],
      "next_cursor": null,
      "unread_count": 1
    }
    "#);
}
