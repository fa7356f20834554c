//! `GET /scopes`.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::OrgRole;
use crate::error::Error;
use crate::http::{ApiResponse, RequestInput};
use crate::state::State;

/// A permission that can be granted to API keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Scope)]
pub struct ScopeResponse {
    /// Name of the scope.
    #[schema(example = "data:read")]
    pub name: String,
    /// Service the scope belongs to.
    pub service: String,
    /// Description of the scope in one sentence.
    pub description: String,
    /// Lowest role in the key's organisation that may use the scope; null if personal keys can use it as well.
    pub min_role: Option<OrgRole>,
}

/// The catalog of scopes.
#[derive(Serialize, ToSchema)]
pub struct ScopeListResponse {
    /// All scopes, Keyward's own first.
    pub data: Vec<ScopeResponse>,
    /// Always null: the list has one page.
    pub next_cursor: Option<String>,
}

/// List scopes
///
/// Returns all scopes that can be granted to API keys. Needs no credential.
#[utoipa::path(
    operation_id = "listScopes", tag = "API keys",
    responses((status = 200, description = "The catalog of scopes", body = ScopeListResponse)),
)]
#[get("/scopes")]
pub async fn list_scopes(input: RequestInput, state: web::Data<State>) -> Result<ApiResponse, Error> {
    input.none().await?;
    let data = state.scopes.all().iter().map(|scope| ScopeResponse {
        name: scope.name.clone(),
        service: scope.service.clone(),
        description: scope.description.clone(),
        min_role: scope.min_role,
    });
    ApiResponse::ok(&ScopeListResponse {
        data: data.collect(),
        next_cursor: None,
    })
}
