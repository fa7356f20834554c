//! `/me/avatar`.

use actix_web::{delete, put, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::operations;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::images::{self, resize};
use crate::state::State;

/// The URL of an avatar.
#[derive(Serialize, ToSchema)]
pub struct AvatarResponse {
    /// URL of the avatar. Its content never changes, so it can be cached without limit.
    pub avatar_url: String,
}

/// Set the avatar
///
/// Replaces the avatar of the caller. The image is cropped to its centre square, scaled to 256 × 256 pixels and stored as
/// WebP without metadata. A caller can upload two images at a time; during two other uploads the response is 429.
#[utoipa::path(
    operation_id = "putAvatar", tag = "Profile", security(("session" = [])),
    request_body(
        description = "An image of at most 2 MiB and at most 4096 pixels per side",
        content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")),
    ),
    responses((status = 200, description = "The URL of the new avatar", body = AvatarResponse)),
)]
#[put("/me/avatar")]
pub(super) async fn put_avatar(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let upload = state.image_resizer.begin_upload(caller.user_id)?;
    let content = input.bytes(resize::MEDIA_TYPES, resize::MAX_BYTES).await?;
    let webp = upload.resize(content).await?;
    let id = caller
        .transaction(&state, move |tx, caller| operations::set_avatar(tx, caller, &webp))
        .await?;
    ApiResponse::ok(&AvatarResponse {
        avatar_url: images::url(&state.config, id),
    })
}

/// Remove the avatar
///
/// Deletes the avatar of the caller, if there is one.
#[utoipa::path(
    operation_id = "deleteAvatar", tag = "Profile", security(("session" = [])),
    responses((status = 204, description = "The caller has no avatar")),
)]
#[delete("/me/avatar")]
pub(super) async fn delete_avatar(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    caller.transaction(&state, operations::remove_avatar).await?;
    Ok(ApiResponse::no_content())
}
