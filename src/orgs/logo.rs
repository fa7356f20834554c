//! `/orgs/{org_id}/logo`.

use actix_web::{delete, put, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::operations;
use super::permissions::{OrgAct, OrgCaller};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::{Answer, Input, Path};
use crate::ids::OrgId;
use crate::images;
use crate::picture;
use crate::state::State;

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
    input: Input,
    state: web::Data<State>,
) -> Result<Answer, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgAct::ReplaceLogo).await?;
    let content = input.bytes(picture::MEDIA_TYPES, picture::MAX_BYTES).await?;
    let webp = state.painter.paint(content).await?;
    let id = state
        .db
        .transaction(move |connection| {
            operations::replace_logo(connection, &caller, org_id, OrgAct::ReplaceLogo, Some(&webp))
        })
        .await?;
    let id = id.ok_or_else(|| Error::internal("no image was kept"))?;
    Answer::ok(&LogoResponse {
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
    input: Input,
    state: web::Data<State>,
) -> Result<Answer, Error> {
    OrgCaller::check(&state, &caller, org_id, OrgAct::DeleteLogo).await?;
    input.none().await?;
    state
        .db
        .transaction(move |connection| operations::replace_logo(connection, &caller, org_id, OrgAct::DeleteLogo, None))
        .await?;
    Ok(Answer::no_content())
}
