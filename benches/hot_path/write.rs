//! A change with everything that belongs to it: the creation of an API key, and the bare insertion of the same rows.

use std::net::SocketAddr;
use std::path::Path;

use actix_web::{HttpResponse, web};
use diesel::prelude::*;
use diesel::sql_types::Uuid;
use keyward::auth::PlatformRole;
use secrecy::SecretString;

use crate::load::{Load, request};
use crate::{Case, PASSWORD, Pool, Target, at_least, build_state, create_person, log_in, serve};

/// Each user can have 100 keys, so this many are enough for 50,000 requests.
const WRITERS: usize = 500;

const NAME: &str = "one transaction";

/// The rows of a new key, of its audit record, its notification and its e-mail. `$1` is the id of all of them, `$2` the
/// user.
const INSERTS: [&str; 5] = [
    "INSERT INTO api_keys (id, user_id, name, hint, scopes, created_at, updated_at, granted_at) \
     VALUES ($1, $2, 'k', 'kw_abcd', '{}', now(), now(), now())",
    "INSERT INTO api_key_secrets (secret_hash, api_key_id, created_at) \
     VALUES (sha256($1::text::bytea), $1, now())",
    "INSERT INTO audit_log (id, at, action, actor_type, actor_id, user_id, object_type, object_id, result) \
     VALUES ($1, now(), 'api_key.created', 'user', $2, $2, 'api_key', $1, 'success')",
    "INSERT INTO notifications (id, user_id, type, data, created_at) \
     VALUES ($1, $2, 'api_key_created', '{\"name\": \"k\", \"hint\": \"kw_abcd\"}', now())",
    "INSERT INTO mail_outbox (id, recipient, locale, message, created_at, next_attempt_at) \
     VALUES ($1, $2::text || '@example.com', 'en', '{\"kind\": \"api_key_created\"}', now(), now())",
];

/// The reference handler.
pub async fn one_transaction(user_id: web::Path<uuid::Uuid>, pool: web::Data<Pool>) -> HttpResponse {
    let (id, user_id) = (uuid::Uuid::now_v7(), user_id.into_inner());
    let mut connection = pool.get().unwrap();
    connection
        .transaction(|connection| {
            for insert in INSERTS {
                diesel::sql_query(insert)
                    .bind::<Uuid, _>(id)
                    .bind::<Uuid, _>(user_id)
                    .execute(connection)?;
            }
            Ok::<_, diesel::result::Error>(())
        })
        .unwrap();
    HttpResponse::Created().json(serde_json::json!({"id": id}))
}

/// A second instance hashes passwords at almost no cost, so that argon2 doesn't hide what the change itself costs.
pub fn prepare(folder: &Path, url: &SecretString, references: SocketAddr) -> [Case; 2] {
    let cheap_hashes = [("KEYWARD_ARGON2_MEMORY_KIB", "8"), ("KEYWARD_ARGON2_ITERATIONS", "1")];
    let state = build_state(folder, url, &cheap_hashes);
    let service = serve(state.clone());
    let body = format!(r#"{{"name":"k","current_password":"{PASSWORD}"}}"#);
    let (mut creations, mut inserts) = (Vec::new(), Vec::new());
    for number in 0..WRITERS {
        let name = format!("writer{number}");
        let id = create_person(&state, &name, PlatformRole::User);
        let token = log_in(service, &name);
        creations.push(request("POST", "/api-keys", Some(&token), Some(&body)));
        inserts.push(request("POST", &format!("/insert/{id}"), None, Some("{}")));
    }
    let case = |name, target: Option<Target>, load| Case { name, target, load };
    [
        case(NAME, None, Load::new(references, inserts, 201)),
        case(
            "create a key, argon2 aside",
            at_least(0.5, NAME),
            Load::new(service, creations, 201),
        ),
    ]
}
