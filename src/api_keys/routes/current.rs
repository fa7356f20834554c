//! `/api-keys/current`: the API key with which the request is made.

use actix_web::{delete, get, web};

use super::response::ApiKeyResponse;
use crate::api_keys::filter::TenantScope;
use crate::api_keys::operations;
use crate::auth::{AnyApiKey, Caller, Credential};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;
use crate::values::ids::ApiKeyId;

fn current_id(caller: &Caller<AnyApiKey>) -> Result<ApiKeyId, Error> {
    match &caller.credential {
        Credential::ApiKey { id, .. } => Ok(*id),
        // `Caller<AnyApiKey>` refuses sessions.
        Credential::Session { .. } => Err(Error::not_found()),
    }
}

/// Get the current API key
///
/// Returns the key with which the request is made. Any API key may do this; no scope is needed.
#[utoipa::path(
    operation_id = "getCurrentApiKey", tag = "API keys", security(("api_key" = [])),
    responses((status = 200, description = "The current key", body = ApiKeyResponse)),
)]
#[get("/api-keys/current")]
pub async fn get_current_api_key(
    caller: Caller<AnyApiKey>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (now, user_id, id) = (caller.now(), caller.user_id, current_id(&caller)?);
    let details = state.db.read(now, move |tx| operations::find(tx, user_id, id)).await?;
    ApiKeyResponse::ok(details, now, &state)
}

/// Revoke the current API key
///
/// Deletes the key with which the request is made; this cannot be undone. The owner is notified by e-mail. Any API key
/// may do this, no scope is needed, so that a person who finds a leaked key can revoke it.
#[utoipa::path(
    operation_id = "deleteCurrentApiKey", tag = "API keys", security(("api_key" = [])),
    responses((status = 204, description = "The key is deleted")),
)]
#[delete("/api-keys/current")]
pub async fn delete_current_api_key(
    caller: Caller<AnyApiKey>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let id = current_id(&caller)?;
    caller
        .transaction(&state, move |tx, caller| {
            operations::revoke(tx, caller, TenantScope::User(caller.user_id), id)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
