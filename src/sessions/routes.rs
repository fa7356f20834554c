//! `/auth/login`, `/auth/refresh`, `/auth/logout`, `/auth/reauthenticate`, `/auth/sessions`.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::{EndReason, Grant, Session as SessionRow, TokensResponse};
use super::operations::{self, Login, Refreshed};
use crate::auth::{Caller, Password, Session};
use crate::error::{Code, Error};
use crate::http::{ApiResponse, Path, RequestInput};
use crate::request_type;
use crate::secret::Token;
use crate::state::State;
use crate::users;
use crate::values::Client;
use crate::values::EmailAddress;
use crate::values::ids::{OrgId, SessionId};
use crate::values::{IdRef, Timestamp, string_enum};

/// The name of the refresh cookie; the prefix makes browsers insist on `Secure` (RFC 6265bis §4.1.3.1).
const COOKIE: &str = "__Secure-keyward_refresh";

/// The routes of this slice.
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
    /// How the refresh token reaches the client.
    pub enum TokenDelivery {
        /// In the body.
        Body "body",
        /// In an HttpOnly cookie, for browsers.
        Cookie "cookie",
    }
}

request_type! {
    /// Who logs in.
    #[derive(ToSchema)]
    pub struct LogInRequest {
        /// E-mail address or username.
        pub login: String,
        /// The password.
        pub password: Password,
        /// Where the session acts; absent: where the person last was.
        #[schema(value_type = Option<OrgId>, nullable = false)]
        pub org_id: Option<IdRef<OrgId>>,
        /// How the refresh token is handed over; absent: in the body.
        #[schema(nullable = false)]
        pub token_delivery: Option<TokenDelivery>,
    }
}

/// One spelling for every way to write a login.
fn canonical(login: String) -> String {
    if login.contains('@') {
        EmailAddress::try_from(login.clone()).map_or_else(|_| login.to_lowercase(), EmailAddress::into_string)
    } else {
        login.to_lowercase()
    }
}

/// Log in
///
/// By e-mail address or username. Too many wrong passwords for one account from one address are answered 429 for a while,
/// even when the password is right.
#[utoipa::path(
    operation_id = "logIn", tag = "Sessions", request_body = LogInRequest,
    responses((status = 200, description = "A session", body = TokensResponse)),
)]
#[post("/auth/login")]
async fn log_in(client: Client, input: RequestInput, state: web::Data<State>) -> Result<HttpResponse, Error> {
    let request: LogInRequest = input.json().await?;
    let now = client.now;
    let org_id = request.org_id.map(|org| org.id().ok());
    let login = Login {
        login: canonical(request.login),
        password: request.password,
        org_id,
    };
    let grant = operations::log_in(&state, client, login).await?;
    respond(
        &state,
        now,
        &grant,
        request.token_delivery == Some(TokenDelivery::Cookie),
    )
}

/// Tokens, with the refresh token in the body or in the cookie.
fn respond(
    state: &State,
    now: chrono::DateTime<chrono::Utc>,
    grant: &Grant,
    by_cookie: bool,
) -> Result<HttpResponse, Error> {
    let mut tokens = grant.tokens(now, &state.tokens, &state.secret)?;
    let mut response = HttpResponse::Ok();
    if by_cookie && let Some(token) = tokens.refresh_token.take() {
        let max_age = CookieDuration::seconds((grant.ends_at - now).num_seconds());
        response.cookie(cookie(state, token, max_age));
    }
    Ok(response.json(tokens))
}

fn cookie(state: &State, value: String, max_age: CookieDuration) -> Cookie<'static> {
    let base = state.config.public_url().path();
    Cookie::build(COOKIE, value)
        .path(format!("{base}/auth"))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Strict)
        .max_age(max_age)
        .finish()
}

/// The refresh token of a request: the body's, or else the cookie's, which only pages of ours may send.
fn presented(request: &HttpRequest, state: &State, in_body: Option<String>) -> Result<Option<(Token, bool)>, Error> {
    if let Some(token) = in_body {
        return Ok(Some((Token::new(token), false)));
    }
    let Some(cookie) = request.cookie(COOKIE) else {
        return Ok(None);
    };
    refuse_cross_site(request.headers(), state)?;
    Ok(Some((Token::new(cookie.value()), true)))
}

/// Browsers say where a request comes from (Fetch Metadata, and RFC 6454 §7).
fn refuse_cross_site(headers: &HeaderMap, state: &State) -> Result<(), Error> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let allowed = |origin: &str| {
        origin == state.config.public_url().origin()
            || origin == state.config.app_url().origin()
            || state.config.cors_origins.iter().any(|listed| listed == origin)
    };
    let origin = text("origin");
    let foreign = origin.is_some_and(|origin| !allowed(origin));
    let cross_site = text("sec-fetch-site") == Some("cross-site") && !origin.is_some_and(allowed);
    if foreign || cross_site {
        Err(Error::new(Code::CrossSiteRequest))
    } else {
        Ok(())
    }
}

request_type! {
    /// Which session to refresh.
    #[derive(ToSchema)]
    pub struct RefreshSessionRequest {
        /// The refresh token; absent: the one in the cookie.
        #[schema(nullable = false)]
        pub refresh_token: Option<String>,
        /// Where the session acts from now on; absent: where it did.
        #[schema(value_type = Option<OrgId>, nullable = false)]
        pub org_id: Option<IdRef<OrgId>>,
    }
}

/// Refresh a session
///
/// Each refresh token is good once. Presenting one again ends the session, except that a retry within ten seconds gets the
/// same successor again.
#[utoipa::path(
    operation_id = "refreshSession", tag = "Sessions", request_body = RefreshSessionRequest,
    responses((status = 200, description = "The session's next tokens", body = TokensResponse)),
)]
#[post("/auth/refresh")]
async fn refresh_session(
    client: Client,
    request: HttpRequest,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    let body: RefreshSessionRequest = input.optional_json().await?;
    let (token, by_cookie) =
        presented(&request, &state, body.refresh_token)?.ok_or_else(|| Error::new(Code::InvalidToken))?;
    let org_id = body.org_id.map(|org| org.id().ok());
    let (secret, now) = (state.secret.clone(), client.now);
    let refreshed = state
        .db
        .transaction(now, move |tx| operations::refresh(tx, &secret, &client, &token, org_id))
        .await?;
    match refreshed {
        Refreshed::Granted(grant) => respond(&state, now, &grant, by_cookie),
        Refreshed::Reused => Err(Error::new(Code::InvalidToken)),
    }
}

request_type! {
    /// Which session to end.
    #[derive(ToSchema)]
    pub struct LogOutRequest {
        /// Its refresh token; absent: the one in the cookie, or the session of the access token.
        #[schema(nullable = false)]
        pub refresh_token: Option<String>,
    }
}

/// Log out
///
/// Ends the session of the refresh token (in the body or the cookie), or else that of the access token.
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
    let caller = <Caller<Session> as actix_web::FromRequest>::extract(&request).await;
    let body: LogOutRequest = input.optional_json().await?;
    // What is said outright counts first; a cookie may be left over from another time.
    match (body.refresh_token, caller) {
        (None, Ok(caller)) => {
            let id = caller.session_id()?;
            state
                .db
                .transaction(client.now, move |tx| {
                    operations::end(tx, &caller, id, EndReason::LoggedOut)
                })
                .await?;
        }
        (in_body, caller) => {
            let Some((token, _)) = presented(&request, &state, in_body)? else {
                return Err(caller.err().unwrap_or_else(|| Error::new(Code::AuthenticationRequired)));
            };
            state
                .db
                .transaction(client.now, move |tx| operations::log_out_with(tx, &client, &token))
                .await?;
        }
    }
    let mut response = HttpResponse::NoContent();
    if request.cookie(COOKIE).is_some() {
        response.cookie(cookie(&state, String::new(), CookieDuration::ZERO));
    }
    Ok(response.finish())
}

request_type! {
    /// The password, once more.
    #[derive(ToSchema)]
    pub struct ReauthenticateRequest {
        /// The present password.
        pub current_password: Password,
    }
}

/// Show the password again
///
/// For ten minutes the session may then do what asks for a fresh password. The refresh token stays.
#[utoipa::path(
    operation_id = "reauthenticate", tag = "Sessions", security(("session" = [])), request_body = ReauthenticateRequest,
    responses((status = 200, description = "The session, with a fresh `auth_time`", body = TokensResponse)),
)]
#[post("/auth/reauthenticate")]
async fn reauthenticate(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    let request: ReauthenticateRequest = input.json().await?;
    users::check_password(&state, &caller, request.current_password, "#/current_password").await?;
    let (id, now) = (caller.session_id()?, caller.now());
    let grant = state
        .db
        .transaction(now, move |tx| operations::reauthenticate(tx, &caller, id))
        .await?;
    ApiResponse::ok(&grant.tokens(now, &state.tokens, &state.secret)?)
}

/// A log-in that is good still.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionResponse {
    /// The session.
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Where it logged in from.
    pub ip: String,
    /// When it logged in.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    /// When it ends, if it is not refreshed before.
    pub expires_at: Timestamp,
}

/// All of a person's sessions.
#[derive(Serialize, ToSchema)]
pub struct SessionListResponse {
    /// The last used first.
    pub data: Vec<SessionResponse>,
    /// Always null: there are never more.
    pub next_cursor: Option<String>,
}

/// List one's sessions
#[utoipa::path(
    operation_id = "listSessions", tag = "Sessions", security(("session" = [])),
    responses((status = 200, description = "The sessions that are good still", body = SessionListResponse)),
)]
#[get("/auth/sessions")]
async fn list_sessions(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let (now, user_id, current) = (caller.now(), caller.user_id, caller.session_id()?);
    let sessions = state.db.read(now, move |tx| operations::list(tx, user_id)).await?;
    let shown = |session: SessionRow| SessionResponse {
        id: session.id,
        current: session.id == current,
        expires_at: session.ends_at().into(),
        user_agent: session.user_agent,
        ip: session.ip.addr().to_string(),
        created_at: session.created_at.into(),
        last_used_at: session.last_used_at.into(),
    };
    ApiResponse::ok(&SessionListResponse {
        data: sessions.into_iter().map(shown).collect(),
        next_cursor: None,
    })
}

/// End a session
#[utoipa::path(
    operation_id = "deleteSession", tag = "Sessions", security(("session" = [])),
    params(("session_id" = SessionId, Path, description = "The session")),
    responses((status = 204, description = "It has ended")),
)]
#[delete("/auth/sessions/{session_id}")]
async fn delete_session(
    caller: Caller<Session>,
    Path(id): Path<SessionId>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            operations::end(tx, &caller, id, EndReason::EndedByUser)
        })
        .await?;
    Ok(ApiResponse::no_content())
}

/// End all other sessions
#[utoipa::path(
    operation_id = "deleteOtherSessions", tag = "Sessions", security(("session" = [])),
    responses((status = 204, description = "All but the one that asks have ended")),
)]
#[delete("/auth/sessions")]
async fn delete_other_sessions(
    caller: Caller<Session>,
    input: RequestInput,
    state: web::Data<State>,
) -> Result<ApiResponse, Error> {
    input.none().await?;
    let id = caller.session_id()?;
    state
        .db
        .transaction(caller.now(), move |tx| {
            operations::end_others(tx, &caller, id, EndReason::EndedByUser)
        })
        .await?;
    Ok(ApiResponse::no_content())
}
