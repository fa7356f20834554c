//! `/me/avatar`.

use crate::db::Tx;
use actix_web::{delete, put, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::images;
use crate::images::resize;
use crate::state::State;
use crate::users;
use crate::values::ids::ImageId;

/// Where a picture is to be had.
#[derive(Serialize, ToSchema)]
pub struct AvatarResponse {
    /// Its URL; it may be cached for ever.
    pub avatar_url: String,
}

/// Set one's picture
///
/// Its centre square is scaled to 256 pixels; metadata is dropped.
#[utoipa::path(
    operation_id = "putAvatar", tag = "Profile", security(("session" = [])),
    request_body(
        description = "At most 2 MiB, at most 4096 pixels a side",
        content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")),
    ),
    responses((status = 200, description = "Where it is to be had", body = AvatarResponse)),
)]
#[put("/me/avatar")]
pub(super) async fn put_avatar(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let content = input.bytes(resize::MEDIA_TYPES, resize::MAX_BYTES).await?;
    let webp = state.image_resizer.resize(content).await?;
    let id = state
        .db
        .transaction(caller.now(), move |tx| replace(tx, &caller, Some(&webp)))
        .await?;
    let id = id.ok_or_else(|| Error::internal("no image was kept"))?;
    ApiResponse::ok(&AvatarResponse {
        avatar_url: images::url(&state.config, id),
    })
}

/// Remove one's picture
#[utoipa::path(
    operation_id = "deleteAvatar", tag = "Profile", security(("session" = [])),
    responses((status = 204, description = "There is none any more")),
)]
#[delete("/me/avatar")]
pub(super) async fn delete_avatar(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| replace(tx, &caller, None))
        .await?;
    Ok(ApiResponse::no_content())
}

/// Puts another picture, or none, in the place of the present one.
fn replace(tx: &mut Tx<'_>, caller: &Caller<Session>, webp: Option<&[u8]>) -> Result<Option<ImageId>, Error> {
    let user = users::lock(tx, caller.user_id)?;
    let id = webp.map(|webp| images::insert(tx, webp)).transpose()?;
    users::set_avatar(tx, user.id, id)?;
    if let Some(old) = user.avatar_id {
        images::delete(tx, old)?;
    }
    if user.avatar_id.is_some() || id.is_some() {
        audit::record(tx, Entry::by(caller, Action::AccountAvatarChanged))?;
    }
    Ok(id)
}
