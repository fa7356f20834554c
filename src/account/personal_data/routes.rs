//! `/me/export`, and the end of `/me`.

use actix_web::http::header;
use actix_web::{HttpResponse, delete, get, web};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations;
use crate::auth::{Caller, Password, Session};
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::users;

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes.service(export_me).service(delete_me);
}

/// Everything held about me
///
/// As one JSON document: account, sessions, organisations, API keys (not their secrets), notifications, activity. Asks for
/// a password shown within ten minutes.
#[utoipa::path(
    operation_id = "exportMe", tag = "Profile", security(("session" = [])),
    responses((status = 200, description = "A member for each kind of thing", body = serde_json::Value)),
)]
#[get("/me/export")]
async fn export_me(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    users::require_fresh(&state, &caller, None).await?;
    let (now, user_id) = (caller.now(), caller.user_id);
    let data = state.db.read(now, move |tx| operations::export(tx, user_id)).await?;
    Ok(HttpResponse::Ok()
        .insert_header((
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"keyward-export.json\"",
        ))
        .json(data))
}

request_type! {
    /// The password, where it was not shown within ten minutes.
    #[derive(ToSchema)]
    pub struct DeleteMeRequest {
        /// The present password.
        #[schema(nullable = false)]
        pub current_password: Option<Password>,
    }
}

/// Delete my account
///
/// With everything that is mine alone, organisations without other members included. Cannot be undone.
#[utoipa::path(
    operation_id = "deleteMe", tag = "Profile", security(("session" = [])), request_body = Option<DeleteMeRequest>,
    responses((status = 204, description = "There is no such account any more")),
)]
#[delete("/me")]
async fn delete_me(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: DeleteMeRequest = input.optional_json().await?;
    users::require_fresh(&state, &caller, request.current_password).await?;
    state
        .db
        .transaction(caller.now(), move |tx| operations::delete_account(tx, &caller))
        .await?;
    Ok(ApiResponse::no_content())
}
