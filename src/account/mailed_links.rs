//! The request and response types that all endpoints around mailed links share.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::ApiResponse;
use crate::request_type;

/// Confirmation that a request was accepted. It does not depend on whether the e-mail address has an account.
#[derive(Serialize, ToSchema)]
pub struct AcceptedResponse {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    pub status: &'static str,
}

impl AcceptedResponse {
    pub fn respond() -> Result<ApiResponse, Error> {
        ApiResponse::accepted(&Self { status: "accepted" })
    }
}

request_type! {
    /// The token of a mailed link.
    #[derive(ToSchema)]
    pub struct MailedTokenRequest {
        /// The part of the link after `#token=`.
        pub token: String,
    }
}
