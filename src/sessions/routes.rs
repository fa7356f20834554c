//! `/auth/login`, `/auth/refresh`, `/auth/logout`, `/auth/reauthenticate`, `/auth/sessions`.

use actix_web::{FromRequest as _, HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::cookie::{self, Delivery};
use super::model::{EndReason, Grant, Session as SessionRow, TokensResponse};
use super::operations::{self, Login, Refreshed};
use crate::auth::{Caller, EndSessions, Password, Session};
use crate::error::{Code, Error};
use crate::http::{ApiResponse, Path, RequestInput};
use crate::request_type;
use crate::state::State;
use crate::users;
use crate::values::ids::{OrgId, SessionId};
use crate::values::{Client, IdRef, Page, PageQuery, Timestamp, string_enum};

pub fn router(routes: &mut ServiceConfig) {
    routes
        .service(log_in)
        .service(refresh_session)
        .service(log_out)
        .service(reauthenticate)
        .service(list_sessions)
        .service(delete_session)
        .service(delete_other_sessions);
}

string_enum! {
    /// How the refresh token is returned: `body`, or `cookie` for an HttpOnly cookie of a browser.
    pub enum TokenDelivery {
        /// In the body of the response.
        Body "body",
        /// In an HttpOnly cookie.
        Cookie "cookie",
    }
}

request_type! {
    /// The credentials of a login.
    #[derive(ToSchema)]
    pub struct LogInRequest {
        /// E-mail address or username.
        pub login: String,
        /// Password.
        pub password: Password,
        /// Organisation in which the session acts; if absent, the one in which the user last acted.
        #[schema(value_type = Option<OrgId>, nullable = false)]
        pub org_id: Option<IdRef<OrgId>>,
        /// How the refresh token is returned; `body` if absent.
        #[schema(nullable = false)]
        pub token_delivery: Option<TokenDelivery>,
    }
}

/// Log in
///
/// Starts a session. After 10 failed attempts on an account from one network (IPv4 address, IPv6 /64) within 15 minutes, 100
/// from one network on any accounts within 15 minutes, or 1,000 on an account from at least 10 networks within an hour, the
/// response is 429 for a while, even for the correct password. All paths that check a password count together. An e-mail
/// address as `login` with the password of a registration that is not verified yet is 403 `email_unverified`, whether or not
/// the address also has an account. Of more than 100 live sessions, the least recently used ones end. A user agent that the user did not use during the last 90 days is reported to them.
#[utoipa::path(
    operation_id = "logIn", tag = "Sessions", request_body = LogInRequest,
    responses((status = 200, description = "The tokens of the new session", body = TokensResponse)),
)]
#[post("/auth/login")]
async fn log_in(client: Client, input: RequestInput, state: web::Data<State>) -> Result<HttpResponse, Error> {
    let request: LogInRequest = input.json().await?;
    let now = client.now;
    let delivery = match request.token_delivery {
        Some(TokenDelivery::Cookie) => Delivery::Cookie,
        Some(TokenDelivery::Body) | None => Delivery::Body,
    };
    let login = Login {
        login: request.login,
        password: request.password,
        org_id: request.org_id,
    };
    let grant = operations::log_in(&state, client, login).await?;
    respond(&state, now, &grant, delivery)
}

/// The tokens, with the refresh token in the body or in the cookie.
fn respond(state: &State, now: DateTime<Utc>, grant: &Grant, delivery: Delivery) -> Result<HttpResponse, Error> {
    let mut tokens = grant.tokens(now, &state.tokens, &state.secret)?;
    let mut response = HttpResponse::Ok();
    if delivery == Delivery::Cookie
        && let Some(token) = tokens.refresh_token.take()
    {
        response.cookie(cookie::refresh_cookie(state, token, grant.ends_at - now));
    }
    Ok(response.json(tokens))
}

request_type! {
    /// The session to refresh.
    #[derive(ToSchema)]
    pub struct RefreshSessionRequest {
        /// Refresh token; if absent, the one in the cookie.
        #[schema(nullable = false)]
        pub refresh_token: Option<String>,
        /// Organisation in which the session acts from now on; if absent, the present one.
        #[schema(value_type = Option<OrgId>, nullable = false)]
        pub org_id: Option<IdRef<OrgId>>,
    }
}

/// Refresh a session
///
/// Exchanges the refresh token for a new access token and a new refresh token. Presenting an exchanged refresh token again
/// ends the session and notifies the user, except that a retry within 60 seconds returns the same refresh token again.
#[utoipa::path(
    operation_id = "refreshSession", tag = "Sessions", request_body = RefreshSessionRequest,
    responses((status = 200, description = "The new tokens of the session", body = TokensResponse)),
)]
#[post("/auth/refresh")]
async fn refresh_session(
    client: Client,
    request: HttpRequest,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let body: RefreshSessionRequest = input.optional_json().await?;
    let presented =
        cookie::presented_token(&request, &state, body.refresh_token)?.ok_or_else(|| Error::new(Code::InvalidToken))?;
    let (secret, now) = (state.secret.clone(), client.now);
    let refreshed = state
        .db
        .transaction(now, move |tx| {
            operations::refresh(tx, &secret, &client, &presented.token, body.org_id)
        })
        .await?;
    match refreshed {
        Refreshed::Granted(grant) => respond(&state, now, &grant, presented.delivery),
        Refreshed::Reused => Err(Error::new(Code::InvalidToken)),
    }
}

request_type! {
    /// The session to end.
    #[derive(ToSchema)]
    pub struct LogOutRequest {
        /// Refresh token of the session; if absent, the session of the access token or of the cookie ends.
        #[schema(nullable = false)]
        pub refresh_token: Option<String>,
    }
}

/// Log out
///
/// Ends the session of the refresh token in the body, or else the session of the access token, or else that of the cookie.
/// The cookie is deleted.
#[utoipa::path(
    operation_id = "logOut", tag = "Sessions", security((), ("session" = [])), request_body = LogOutRequest,
    responses((status = 204, description = "The session has ended")),
)]
#[post("/auth/logout")]
async fn log_out(
    client: Client,
    request: HttpRequest,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let caller = Caller::<EndSessions>::extract(&request).await;
    let body: LogOutRequest = input.optional_json().await?;
    // The access token wins over the cookie, which may belong to an earlier session.
    match (body.refresh_token, caller) {
        (None, Ok(caller)) => {
            let id = caller.session_id()?;
            caller
                .transaction(&state, move |tx, caller| {
                    operations::end(tx, caller, id, EndReason::LoggedOut)
                })
                .await?;
        }
        (in_body, caller) => {
            let Some(presented) = cookie::presented_token(&request, &state, in_body)? else {
                return Err(caller.err().unwrap_or_else(|| Error::new(Code::AuthenticationRequired)));
            };
            let secret = state.secret.clone();
            state
                .db
                .transaction(client.now, move |tx| {
                    operations::end_by_refresh_token(tx, &secret, &client, &presented.token)
                })
                .await?;
        }
    }
    let mut response = HttpResponse::NoContent();
    if cookie::is_present(&request) {
        response.cookie(cookie::removal_cookie(&state));
    }
    Ok(response.finish())
}

request_type! {
    /// The current password.
    #[derive(ToSchema)]
    pub struct ReauthenticateRequest {
        /// Current password.
        pub current_password: Password,
    }
}

/// Confirm the password again
///
/// Updates the `auth_time` of the session. For ten minutes the session can then call the endpoints that need a recent
/// authentication. The refresh token remains valid.
#[utoipa::path(
    operation_id = "reauthenticate", tag = "Sessions", security(("session" = [])), request_body = ReauthenticateRequest,
    responses((status = 200, description = "A new access token of the session", body = TokensResponse)),
)]
#[post("/auth/reauthenticate")]
async fn reauthenticate(
    mut caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: ReauthenticateRequest = input.json().await?;
    users::check_password(&state, &mut caller, request.current_password, "#/current_password").await?;
    let (id, now) = (caller.session_id()?, caller.now());
    let grant = caller
        .transaction(&state, move |tx, caller| operations::reauthenticate(tx, caller, id))
        .await?;
    ApiResponse::ok(&grant.tokens(now, &state.tokens, &state.secret)?)
}

/// A live session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionResponse {
    /// Id of the session.
    pub id: SessionId,
    /// Whether the request was made in this session.
    pub current: bool,
    /// `User-Agent` header of the login.
    pub user_agent: Option<String>,
    /// IP address of the login.
    pub ip: String,
    /// Time of the login.
    pub created_at: Timestamp,
    /// Time of the login or of the last refresh.
    pub last_used_at: Timestamp,
    /// Time at which the session expires, unless it is refreshed.
    pub expires_at: Timestamp,
}

impl SessionResponse {
    fn new(session: SessionRow, current_id: SessionId) -> Self {
        Self {
            id: session.id,
            current: session.id == current_id,
            expires_at: session.ends_at().into(),
            user_agent: session.user_agent,
            ip: session.ip.addr().to_string(),
            created_at: session.created_at.into(),
            last_used_at: session.last_used_at.into(),
        }
    }
}

/// List sessions
///
/// Returns the live sessions of the caller, the newest login first.
#[utoipa::path(
    operation_id = "listSessions", tag = "Sessions", security(("session" = [])), params(PageQuery),
    responses((status = 200, description = "A page of live sessions", body = Page<SessionResponse>)),
)]
#[get("/auth/sessions")]
async fn list_sessions(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let query: PageQuery = input.query()?;
    let (user_id, current_id) = (caller.user_id, caller.session_id()?);
    let secret = state.secret.clone();
    let page = state
        .db
        .read(caller.now(), move |tx| operations::list(tx, &secret, user_id, query))
        .await?;
    ApiResponse::ok(&page.map(|session| SessionResponse::new(session, current_id)))
}

/// End a session
///
/// Ends a session of the caller. Its access and refresh tokens are refused from then on.
#[utoipa::path(
    operation_id = "deleteSession", tag = "Sessions", security(("session" = [])),
    params(("session_id" = SessionId, Path, description = "Id of the session")),
    responses((status = 204, description = "The session has ended")),
)]
#[delete("/auth/sessions/{session_id}")]
async fn delete_session(
    caller: Caller<EndSessions>,
    Path(id): Path<SessionId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    caller
        .transaction(&state, move |tx, caller| {
            operations::end(tx, caller, id, EndReason::EndedByUser)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

/// End all other sessions
///
/// Ends every session of the caller except the one of the request.
#[utoipa::path(
    operation_id = "deleteOtherSessions", tag = "Sessions", security(("session" = [])),
    responses((status = 204, description = "The other sessions have ended")),
)]
#[delete("/auth/sessions")]
async fn delete_other_sessions(
    caller: Caller<EndSessions>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let id = caller.session_id()?;
    caller
        .transaction(&state, move |tx, caller| {
            operations::end_others(tx, caller, id, EndReason::EndedByUser)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
