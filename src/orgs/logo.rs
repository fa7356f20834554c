//! `/orgs/{org_id}/logo`.

use actix_web::{delete, put, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::operations;
use super::permissions::{OrgCaller, OrgPermission};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{ApiResponse, Path, RequestInput};
use crate::images;
use crate::images::resize;
use crate::state::State;
use crate::values::ids::OrgId;

/// Where a logo is to be had.
#[derive(Serialize, ToSchema)]
pub struct LogoResponse {
    /// Its URL; it may be cached for ever.
    pub logo_url: String,
}

/// Set an organisation's logo
///
/// For owners and admins. Its centre square is scaled to 256 pixels; metadata is dropped.
#[utoipa::path(
    operation_id = "putOrgLogo", tag = "Organisations", security(("session" = [])),
    request_body(
        description = "At most 2 MiB, at most 4096 pixels a side",
        content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp")),
    ),
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 200, description = "Where it is to be had", body = LogoResponse)),
)]
#[put("/orgs/{org_id}/logo")]
pub(super) async fn put_logo(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::ReplaceLogo).await?;
    let content = input.bytes(resize::MEDIA_TYPES, resize::MAX_BYTES).await?;
    let webp = state.painter.paint(content).await?;
    let id = state
        .db
        .transaction(caller.now(), move |tx| {
            operations::replace_logo(tx, &caller, org_id, OrgPermission::ReplaceLogo, Some(&webp))
        })
        .await?;
    let id = id.ok_or_else(|| Error::internal("no image was kept"))?;
    ApiResponse::ok(&LogoResponse {
        logo_url: images::url(&state.config, id),
    })
}

/// Remove an organisation's logo
///
/// For owners and admins.
#[utoipa::path(
    operation_id = "deleteOrgLogo", tag = "Organisations", security(("session" = [])),
    params(("org_id" = OrgId, Path, description = "The organisation")),
    responses((status = 204, description = "There is none any more")),
)]
#[delete("/orgs/{org_id}/logo")]
pub(super) async fn delete_logo(
    caller: Caller<Session>,
    Path(org_id): Path<OrgId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgPermission::DeleteLogo).await?;
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            operations::replace_logo(tx, &caller, org_id, OrgPermission::DeleteLogo, None)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
