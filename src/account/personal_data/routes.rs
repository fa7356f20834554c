//! `GET /me/export` and `DELETE /me`.

use actix_web::http::header;
use actix_web::{HttpResponse, delete, get, web};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::export::Export;
use super::operations;
use crate::auth::{Caller, Password, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::users;

pub fn router(routes: &mut ServiceConfig) {
    routes.service(export_me).service(delete_me);
}

/// Export personal data
///
/// Returns everything stored about the caller as one JSON document: account, sessions, organisations, API keys (without
/// their secrets), notifications, activity. Activity of other users is without their IP address and request id. What is
/// changed during the export is contained in its new state or its old. If the export fails midway, the connection breaks and
/// the document is not complete. During another export of the caller the response is 429, during too many exports of others
/// 503. The export is recorded in the activity. Needs a login or `POST /auth/reauthenticate` during the last ten minutes.
#[utoipa::path(
    operation_id = "exportMe", tag = "Profile", security(("session" = [])),
    responses((status = 200, description = "The data, with a field per kind", body = serde_json::Value)),
)]
#[get("/me/export")]
async fn export_me(
    mut caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    users::require_fresh(&state, &mut caller, None).await?;
    let (now, user_id) = (caller.now(), caller.user_id);
    let slot = state.exports.enter(user_id)?;
    let account = caller.transaction(&state, operations::begin_export).await?;
    let export = Export {
        state: state.get_ref().clone(),
        user_id,
        now,
        account,
        slot,
    };
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"keyward-export.json\"",
        ))
        .streaming(export.into_stream()))
}

request_type! {
    /// The current password, if the last authentication is older than ten minutes.
    #[derive(ToSchema)]
    pub struct DeleteMeRequest {
        /// Current password. Not needed within ten minutes of a login or `POST /auth/reauthenticate`.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Delete the account
///
/// Deletes the caller's account and everything that belongs to it alone, including organisations without other members,
/// and revokes the pending invitations that the caller sent.
/// While the caller is the only owner, disabled ones aside, of an organisation that has other members, or the last platform
/// administrator, the response is 409. The deletion can't be undone. Needs a recent authentication or the current password.
#[utoipa::path(
    operation_id = "deleteMe", tag = "Profile", security(("session" = [])), request_body = Option<DeleteMeRequest>,
    responses((status = 204, description = "The account is deleted")),
)]
#[delete("/me")]
async fn delete_me(
    mut caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: DeleteMeRequest = input.optional_json().await?;
    users::require_fresh(&state, &mut caller, request.current_password).await?;
    let (user_id, role) = (caller.user_id, caller.role);
    caller
        .locking(move |tx| operations::lock_for_deletion(tx, user_id, role))
        .transaction(&state, operations::delete_account)
        .await?;
    Ok(ApiResponse::no_content())
}
