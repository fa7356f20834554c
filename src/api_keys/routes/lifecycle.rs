//! `POST /api-keys`, `POST /api-keys/{id}/rotate`, which show a secret, and `POST /api-keys/{id}/extend`.

use actix_web::http::header;
use actix_web::{HttpResponse, post, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::keys::ApiKeyResponse;
use crate::api_keys::model::{AllowedIps, KeyName, Remark, Scopes};
use crate::api_keys::operations::{self, Issued, Wish};
use crate::auth::{Caller, Password, Session};
use crate::db::Tx;
use crate::error::{Error, FieldCode, FieldError, Invalid};
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::orgs::membership;
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::ids::{ApiKeyId, OrgId};
use crate::values::{BoundedInt, Fields, IdRef, Timestamp};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(create_api_key)
        .service(extend_api_key)
        .service(rotate_api_key);
}

/// An API key and its secret, shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedApiKey)]
pub struct IssuedApiKeyResponse {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKeyResponse,
    /// What goes into `Authorization: Bearer`; null in a repeated answer, for it is not stored.
    #[schema(required = true, example = "kw_000000000000000000000000000000001vXtxm")]
    pub secret: Option<String>,
}

fn issued(issued: Issued, now: DateTime<Utc>, state: &State) -> Result<ApiResponse, Error> {
    let (id, version) = (issued.record.key.id, issued.record.key.version);
    let response = IssuedApiKeyResponse {
        key: ApiKeyResponse::new(issued.record, now, state),
        secret: Some(issued.secret.expose().to_owned()),
    };
    Ok(
        ApiResponse::created(&state.config, &format!("/api-keys/{id}"), &response)?
            .etag(version)
            .header(header::CACHE_CONTROL, "no-store")
            .secret("secret"),
    )
}

/// How many there may be is a matter of configuration.
type WholeDays = BoundedInt<{ i64::MIN }, { i64::MAX }>;

request_type! {
    /// What the key is to be.
    #[derive(ToSchema)]
    pub struct CreateApiKeyRequest {
        /// What it is called.
        pub name: KeyName,
        /// The organisation it acts in; absent: a personal key.
        #[schema(value_type = Option<OrgId>, nullable = false)]
        #[expect(dead_code, reason = "looked at before")]
        pub org_id: Option<IdRef<OrgId>>,
        /// What it may do, see `GET /scopes`; absent: nothing.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub scopes: Option<Scopes>,
        /// When it expires; absent, like `expires_in_days`: never.
        #[expect(dead_code, reason = "looked at before")]
        pub expires_at: Option<Timestamp>,
        /// In how many days it expires, instead of `expires_at`.
        #[schema(value_type = Option<i64>, minimum = 1, maximum = 36500)]
        #[expect(dead_code, reason = "looked at before")]
        pub expires_in_days: Option<WholeDays>,
        /// A note.
        pub remark: Option<Remark>,
        /// Networks it may be used from, in CIDR notation; absent or empty: all.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub allowed_ips: Option<AllowedIps>,
        /// The present password.
        pub current_password: Password,
    }
}

/// When the key is to expire, if that is an instant a key may expire at.
fn expiry(
    members: &Fields,
    now: DateTime<Utc>,
    latest: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Box<FieldError>> {
    let at = members.look_at::<Option<Timestamp>>("expires_at").flatten();
    let days = members.look_at::<Option<WholeDays>>("expires_in_days").flatten();
    if members.has("expires_at") && members.has("expires_in_days") {
        let both = Invalid::new(FieldCode::NotAllowed, "Give expires_at or expires_in_days, not both.");
        return Err(both.at("#/expires_in_days").into());
    }
    match (at, days) {
        (None, None) => Ok(None),
        (Some(Timestamp(at)), _) if now < at && at <= latest => Ok(Some(at)),
        (Some(_), _) => {
            let detail = format!("Must lie in the future, and not after {}.", Timestamp(latest));
            let invalid = Invalid::new(FieldCode::OutOfRange, detail).with("max", Timestamp(latest).to_string());
            Err(invalid.at("#/expires_at").into())
        }
        (None, Some(days)) => {
            let at = TimeDelta::try_days(days.get()).and_then(|days| now.checked_add_signed(days));
            let at = at.filter(|at| now < *at && *at <= latest);
            at.map(Some).ok_or_else(|| {
                let max = (latest - now).num_days();
                let invalid = Invalid::new(FieldCode::OutOfRange, format!("Must be between 1 and {max}."));
                invalid.with("min", 1).with("max", max).at("#/expires_in_days").into()
            })
        }
    }
}

/// Create an API key
///
/// The key belongs to who calls. Without `org_id` it is personal, wherever the session acts. Its secret is shown in this one
/// answer and never again.
#[utoipa::path(
    operation_id = "createApiKey", tag = "API keys", security(("session" = [])), request_body = CreateApiKeyRequest,
    responses((status = 201, description = "The key and its secret", body = IssuedApiKeyResponse)),
)]
#[post("/api-keys")]
async fn create_api_key(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let mut members = input.fields().await?;
    let (now, user_id) = (caller.now(), caller.user_id);
    let org_id = members.look_at::<Option<IdRef<OrgId>>>("org_id").flatten();
    let org_id = org_id.map(IdRef::id).transpose()?;
    let stay = match org_id {
        Some(org_id) => {
            let require = move |tx: &mut Tx<'_>| membership::require(tx, org_id, user_id);
            Some(state.db.read(now, require).await?)
        }
        None => None,
    };
    let scopes = members
        .look_at::<Option<Scopes>>("scopes")
        .flatten()
        .unwrap_or_default();
    let holder = operations::holder_of(&caller, stay.as_ref());
    members.refuse_all(operations::scopes_not_allowed(&state.scopes, &holder, &scopes.0));
    let expires_at = expiry(&members, now, operations::latest_expiry(&state.config, now));
    let expires_at = expires_at.unwrap_or_else(|invalid| {
        members.refuse_all([*invalid]);
        None
    });
    let request: CreateApiKeyRequest = members.read()?;
    users::check_password(&state, &caller, request.current_password, "#/current_password").await?;
    let wish = Wish {
        name: request.name,
        org_id,
        scopes: request.scopes.unwrap_or_default().deduplicated(),
        expires_at,
        remark: request.remark,
        allowed_ips: request.allowed_ips.unwrap_or_default().0,
    };
    let state_inside = state.clone();
    let response = idempotent
        .transaction(&state.db, now, move |tx| {
            let made = operations::create(tx, &state_inside, &caller, wish)?;
            issued(made, now, &state_inside)
        })
        .await?;
    Ok(response)
}

/// By how many days a key can be extended at once.
type Days = BoundedInt<1, 3650>;

request_type! {
    /// By how much to extend.
    #[derive(ToSchema)]
    pub struct ExtendApiKeyRequest {
        /// Days from the expiry on, or from now if that is past.
        #[schema(value_type = i64, minimum = 1, maximum = 3650)]
        pub days: Days,
        /// The present password, where it was not shown in the last ten minutes.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Extend an API key
///
/// An expired key comes to life again. Takes the password, or that it was shown in the last ten minutes.
#[utoipa::path(
    operation_id = "extendApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "The key")), request_body = ExtendApiKeyRequest,
    responses((status = 200, description = "The key as it is now", body = ApiKeyResponse)),
)]
#[post("/api-keys/{api_key_id}/extend")]
async fn extend_api_key(
    caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    let find = move |tx: &mut Tx<'_>| operations::find(tx, user_id, id);
    let present = state.db.read(now, find).await?;
    let mut members = input.fields().await?;
    let expires_at = present.key.expires_at;
    if let Some((expires_at, days)) = expires_at.zip(members.look_at::<Days>("days")) {
        let extended = operations::extended(&state.config, now, expires_at, days.get());
        members.refuse_all(extended.err().map(|invalid| *invalid));
    }
    let request: ExtendApiKeyRequest = members.read()?;
    let days = request.days.get();
    users::require_fresh(&state, &caller, request.current_password).await?;
    let state_inside = state.clone();
    idempotent
        .transaction(&state.db, now, move |tx| {
            let record = operations::extend(tx, &state_inside.config, &caller, id, days)?;
            ApiKeyResponse::answer(record, now, &state_inside)
        })
        .await
}

request_type! {
    /// How to rotate.
    #[derive(ToSchema)]
    pub struct RotateApiKeyRequest {
        /// For how long the present secret goes on working, in seconds.
        #[schema(value_type = i64, minimum = 0, maximum = 604_800)]
        pub grace_seconds: BoundedInt<0, 604_800>,
        /// The present password.
        pub current_password: Password,
    }
}

/// Rotate an API key's secret
///
/// The key keeps its id and settings and gets another secret, shown in this one answer. The present secret works for the
/// grace period, never beyond the key's expiry; one that was in its own grace period ends now.
#[utoipa::path(
    operation_id = "rotateApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "The key")), request_body = RotateApiKeyRequest,
    responses((status = 201, description = "The key and its new secret", body = IssuedApiKeyResponse)),
)]
#[post("/api-keys/{api_key_id}/rotate")]
async fn rotate_api_key(
    caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    let find = move |tx: &mut Tx<'_>| operations::find(tx, user_id, id);
    state.db.read(now, find).await?;
    let request: RotateApiKeyRequest = input.json().await?;
    let grace = TimeDelta::seconds(request.grace_seconds.get());
    users::check_password(&state, &caller, request.current_password, "#/current_password").await?;
    let state_inside = state.clone();
    idempotent
        .transaction(&state.db, now, move |tx| {
            let made = operations::rotate(tx, &state_inside.config, &caller, id, grace)?;
            issued(made, now, &state_inside)
        })
        .await
}
