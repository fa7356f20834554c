//! `PATCH /api-keys/{id}` and `POST /api-keys/{id}/extend`.

use actix_web::{HttpResponse, patch, post, web};
use utoipa::ToSchema;

use super::response::ApiKeyResponse;
use crate::api_keys::model::{KeyName, Remark, Scopes};
use crate::api_keys::networks::AllowedIps;
use crate::api_keys::operations::{self, ApiKeyUpdate};
use crate::auth::{Caller, Password, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::ids::ApiKeyId;
use crate::values::{BoundedInt, Patch, Precondition};

request_type! {
    /// The fields of an API key to change. Absent fields keep their value.
    #[derive(ToSchema)]
    pub struct UpdateApiKeyRequest {
        /// Name of the key.
        #[schema(value_type = KeyName, required = false)]
        pub name: Patch<KeyName>,
        /// Note on the key; null removes it.
        #[schema(value_type = Option<Remark>, required = false)]
        pub remark: Patch<Option<Remark>>,
        /// False disables the key, true enables it again.
        #[schema(value_type = bool, required = false)]
        pub enabled: Patch<bool>,
        /// All scopes of the key. Adding a scope needs the current password or a recent authentication.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub scopes: Patch<Scopes>,
        /// Networks the key may be used from, in CIDR notation; empty: all.
        #[schema(value_type = Vec<String>, required = false, max_items = 100)]
        pub allowed_ips: Patch<AllowedIps>,
        /// Current password; only needed to add scopes, and not within ten minutes of a login or
        /// `POST /auth/reauthenticate`.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Update an API key
///
/// Changes the given fields (JSON merge patch) of a key of the caller, with effect on the next request with the key.
/// Needs a session; adding scopes also needs a recent authentication or the current password.
#[utoipa::path(
    operation_id = "updateApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "Id of the key")), request_body = UpdateApiKeyRequest,
    responses((status = 200, description = "The changed key", body = ApiKeyResponse)),
)]
#[patch("/api-keys/{api_key_id}")]
pub async fn update_api_key(
    mut caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    precondition: Precondition,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    let details = state.db.read(now, move |tx| operations::find(tx, user_id, id)).await?;
    let mut fields = input.merge_patch_fields().await?;
    // Read ahead of the other fields, so that the errors of all of them go into one response.
    let scopes = fields.peek::<Patch<Scopes>>("scopes").and_then(Patch::set);
    let Scopes(scopes) = scopes.unwrap_or_default();
    fields.add_errors(operations::check_patched_scopes(&state.scopes, &details, &scopes));
    let request: UpdateApiKeyRequest = fields.read()?;
    let password_confirmed = details.is_widened_by(&scopes) || request.current_password.is_some();
    if password_confirmed {
        users::require_fresh(&state, &mut caller, request.current_password).await?;
    }
    let update = ApiKeyUpdate {
        name: request.name,
        remark: request.remark,
        enabled: request.enabled,
        scopes: request.scopes,
        allowed_ips: request.allowed_ips,
        precondition,
        password_confirmed,
    };
    let catalog = state.scopes.clone();
    let details = caller
        .transaction(&state, move |tx, caller| {
            operations::update(tx, &catalog, caller, id, update.clone())
        })
        .await?;
    ApiKeyResponse::ok(details, now, &state)
}

type ExtensionDays = BoundedInt<1, 3650>;

request_type! {
    /// The extension of an API key.
    #[derive(ToSchema)]
    pub struct ExtendApiKeyRequest {
        /// Days to add to the expiry, or to the current time if the key has expired.
        #[schema(value_type = i64, minimum = 1, maximum = 3650)]
        pub days: ExtensionDays,
        /// Current password. Not needed within ten minutes of a login or `POST /auth/reauthenticate`.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Extend an API key
///
/// Moves the expiry of a key of the caller to a later time, at most to the maximum lifetime from now. An expired key works
/// again. A key that never expires cannot be extended. Needs a session, and a recent authentication or the current
/// password.
#[utoipa::path(
    operation_id = "extendApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "Id of the key")), request_body = ExtendApiKeyRequest,
    responses((status = 200, description = "The extended key", body = ApiKeyResponse)),
)]
#[post("/api-keys/{api_key_id}/extend")]
pub async fn extend_api_key(
    mut caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    let details = state.db.read(now, move |tx| operations::find(tx, user_id, id)).await?;
    let mut fields = input.fields().await?;
    // Read ahead of the other fields, so that the errors of all of them go into one response.
    if let Some((expires_at, days)) = details.key.expires_at.zip(fields.peek::<ExtensionDays>("days")) {
        let extended = operations::extended_expiry(&state.config, now, expires_at, days.get());
        fields.add_errors(extended.err().map(|error| *error));
    }
    let request: ExtendApiKeyRequest = fields.read()?;
    let days = request.days.get();
    users::require_fresh(&state, &mut caller, request.current_password).await?;
    let tx_state = state.clone();
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            let details = operations::extend(tx, &tx_state.config, caller, id, days)?;
            ApiKeyResponse::ok(details, now, &tx_state)
        })
        .await
}
