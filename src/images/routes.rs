//! `GET /avatars/{avatar_id}`, which serves logos as well.

use actix_web::{HttpRequest, HttpResponse, get, web};
use utoipa_actix_web::service_config::ServiceConfig;

use super::store;
use crate::error::Error;
use crate::http::{Path, RequestInput, cacheable};
use crate::state::State;
use crate::values::ids::ImageId;

pub fn router(routes: &mut ServiceConfig) {
    routes.service(get_avatar);
}

/// Get an avatar or logo
///
/// Returns the image of a user or an organisation. The content of a URL never changes, so it can be cached without limit.
/// Needs no credential.
#[utoipa::path(
    operation_id = "getAvatar", tag = "Profile",
    params(("avatar_id" = ImageId, Path, description = "Id of the image")),
    responses((status = 200, description = "An image of 256 × 256 pixels", body = Vec<u8>, content_type = "image/webp")),
)]
#[get("/avatars/{avatar_id}")]
async fn get_avatar(
    Path(id): Path<ImageId>,
    request: HttpRequest,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let content = state
        .db
        .read(state.clock.now(), move |tx| store::find(tx, id))
        .await?
        .ok_or_else(Error::not_found)?;
    input.none().await?;
    Ok(cacheable(
        &request,
        web::Bytes::from(content),
        "image/webp",
        "public, max-age=31536000, immutable",
    ))
}
