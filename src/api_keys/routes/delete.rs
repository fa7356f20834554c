//! `DELETE /api-keys/{id}` and `POST /api-keys/delete`.

use actix_web::{HttpResponse, delete, post, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api_keys::model::KeyIds;
use crate::api_keys::operations;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Idempotent, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::values::ids::{ApiKeyId, Id as _};

/// Delete an API key
///
/// Deletes a key of the caller; this cannot be undone. Needs a session.
#[utoipa::path(
    operation_id = "deleteApiKey", tag = "API keys", security(("session" = [])),
    params(("api_key_id" = ApiKeyId, Path, description = "Id of the key")),
    responses((status = 204, description = "The key is deleted")),
)]
#[delete("/api-keys/{api_key_id}")]
pub async fn delete_api_key(
    caller: Caller<Session>,
    Path(id): Path<ApiKeyId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let (now, user_id) = (caller.now(), caller.user_id);
    state.db.read(now, move |tx| operations::find(tx, user_id, id)).await?;
    input.none().await?;
    caller
        .transaction(&state, move |tx, caller| {
            let deleted = operations::delete(tx, caller, &[id])?;
            deleted.first().map(|_| ()).ok_or_else(Error::not_found)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

request_type! {
    /// The API keys to delete.
    #[derive(ToSchema)]
    pub struct DeleteApiKeysRequest {
        /// Ids of the keys.
        #[schema(value_type = Vec<String>, min_items = 1, max_items = 100)]
        pub ids: KeyIds,
    }
}

/// The ids of the request, by result.
#[derive(Serialize, ToSchema)]
pub struct DeletedApiKeysResponse {
    /// Ids of the deleted keys.
    pub deleted: Vec<String>,
    /// Ids for which the caller has no key.
    pub not_found: Vec<String>,
}

impl DeletedApiKeysResponse {
    /// Each id appears once, in the order of the request.
    fn new(requested: Vec<String>, deleted_ids: &[ApiKeyId]) -> Self {
        let mut response = Self {
            deleted: Vec::new(),
            not_found: Vec::new(),
        };
        for text in requested {
            // An id can be sent in several spellings.
            let parsed = ApiKeyId::parse(&text);
            let is_deleted = parsed.is_some_and(|id| deleted_ids.contains(&id));
            let text = parsed.map_or(text, |id| id.to_string());
            let list = if is_deleted {
                &mut response.deleted
            } else {
                &mut response.not_found
            };
            if !list.contains(&text) {
                list.push(text);
            }
        }
        response
    }
}

/// Delete several API keys
///
/// Deletes up to 100 keys of the caller; this cannot be undone. Ids for which the caller has no key are returned in
/// `not_found`, the others are deleted. Needs a session.
#[utoipa::path(
    operation_id = "deleteApiKeys", tag = "API keys", security(("session" = [])), request_body = DeleteApiKeysRequest,
    responses((status = 200, description = "The deleted and the unknown keys", body = DeletedApiKeysResponse)),
)]
#[post("/api-keys/delete")]
pub async fn delete_api_keys(
    caller: Caller<Session>,
    idempotent: Idempotent,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let DeleteApiKeysRequest { ids: KeyIds(requested) } = input.json().await?;
    caller
        .idempotent_transaction(&state, idempotent, move |tx, caller| {
            let ids: Vec<ApiKeyId> = requested.iter().filter_map(|id| ApiKeyId::parse(id)).collect();
            let deleted = operations::delete(tx, caller, &ids)?;
            ApiResponse::ok(&DeletedApiKeysResponse::new(requested.clone(), &deleted))
        })
        .await
}
