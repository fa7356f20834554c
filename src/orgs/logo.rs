//! `/orgs/{org_id}/logo`.

use actix_web::{delete, put, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::operations;
use super::org_member::{OrgMember, locking};
use super::permissions::can;
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::images::{self, resize};
use crate::state::State;
use crate::values::ids::OrgId;

/// The URL of a logo.
#[derive(Serialize, ToSchema)]
pub struct LogoResponse {
    /// URL of the logo; its content never changes, so it can be cached without limit.
    pub logo_url: String,
}

/// Set the logo of an organisation
///
/// Crops the image to its centre square, scales it to 256 × 256 pixels, removes its metadata and stores it as WebP. Replaces
/// the previous logo. A caller can upload two images at a time; during two other uploads the response is 429. Needs the role
/// `admin` or `owner`.
#[utoipa::path(
    operation_id = "putOrgLogo", tag = "Organisations", security(("session" = [])),
    request_body(
        description = "An image of at most 2 MiB and at most 4096 pixels a side",
        content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")),
    ),
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 200, description = "The URL of the new logo", body = LogoResponse)),
)]
#[put("/orgs/{org_id}/logo")]
pub(super) async fn put_logo(
    caller: Caller<Session>,
    membership: OrgMember<can::ReplaceLogo>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let upload = state.image_resizer.begin_upload(caller.user_id)?;
    let content = input.bytes(resize::MEDIA_TYPES, resize::MAX_BYTES).await?;
    let webp = upload.resize(content).await?;
    let org_id = membership.org_id;
    let logo_id = caller
        .locking(locking(org_id))
        .transaction(&state, move |tx, caller| {
            operations::replace_logo::<can::ReplaceLogo, _>(tx, caller, org_id, Some(&webp))
        })
        .await?;
    let logo_id = logo_id.ok_or_else(|| Error::internal("the logo was not stored"))?;
    ApiResponse::ok(&LogoResponse {
        logo_url: images::url(&state.config, logo_id),
    })
}

/// Remove the logo of an organisation
///
/// Deletes the logo; its URL is 404 from then on. Needs the role `admin` or `owner`.
#[utoipa::path(
    operation_id = "deleteOrgLogo", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "Id of the organisation")),
    responses((status = 204, description = "The organisation has no logo")),
)]
#[delete("/orgs/{org_id}/logo")]
pub(super) async fn delete_logo(
    caller: Caller<Session>,
    membership: OrgMember<can::DeleteLogo>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let org_id = membership.org_id;
    caller
        .locking(locking(org_id))
        .transaction(&state, move |tx, caller| {
            operations::replace_logo::<can::DeleteLogo, _>(tx, caller, org_id, None)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
