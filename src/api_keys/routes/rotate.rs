//! `POST /api-keys/{id}/rotate`.

use actix_web::{HttpResponse, post, web};
use chrono::TimeDelta;
use utoipa::ToSchema;

use super::response::IssuedApiKeyResponse;
use crate::api_keys::operations;
use crate::auth::{Caller, Password, Session};
use crate::error::Error;
use crate::http::{Idempotent, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::BoundedInt;
use crate::values::ids::ApiKeyId;

request_type! {
    /// The rotation of an API key.
    #[derive(ToSchema)]
    pub struct RotateApiKeyRequest {
        /// Seconds for which the current secret keeps working; 0 ends it at once.
        #[schema(value_type = i64, minimum = 0, maximum = 604_800)]
        pub grace_seconds: BoundedInt<0, 604_800>,
        /// Current password of the caller.
        pub current_password: Password,
    }
}

/// Rotate an API key
///
/// Issues a new secret for the key, which keeps its id and settings. The response contains the secret, which cannot be
/// retrieved again. The current secret works until the end of the grace period, but never beyond the expiry of the key. A
/// previous secret still in its own grace period ends now. Needs a session and the current password. A key that has
/// expired, or whose membership has ended, cannot be rotated.
#[utoipa::path(
    operation_id = "rotateApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "Id of the key")), request_body = RotateApiKeyRequest,
    responses((status = 201, description = "The key and its new secret", body = IssuedApiKeyResponse)),
)]
#[post("/api-keys/{api_key_id}/rotate")]
pub async fn rotate_api_key(
    mut caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    state.db.read(now, move |tx| operations::find(tx, user_id, id)).await?;
    let request: RotateApiKeyRequest = input.json().await?;
    let grace = TimeDelta::seconds(request.grace_seconds.get());
    users::check_password(&state, &mut caller, request.current_password, "#/current_password").await?;
    let tx_state = state.clone();
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            let issued = operations::rotate(tx, &tx_state.config, caller, id, grace)?;
            IssuedApiKeyResponse::created(issued, now, &tx_state)
        })
        .await
}
