//! A session, and the tokens that are issued for it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;

use super::refresh_token::RefreshToken;
use crate::auth::{AccessTokens, ActiveOrg, PlatformRole, TokenSubject};
use crate::error::Error;
use crate::orgs::membership::OrgSummary;
use crate::secret::{ServerSecret, Token};
use crate::values::ids::{OrgId, SessionId, UserId};
use crate::values::{Timestamp, string_enum};

/// How long a session lives without a refresh.
pub const IDLE_LIFETIME: TimeDelta = TimeDelta::days(30);
/// How long a session lives at most.
pub const MAX_LIFETIME: TimeDelta = TimeDelta::days(90);
/// The number of live sessions of a user. Ending all of them, after a change of the password, must be quick.
pub const MAX_LIVE: i64 = 100;
/// How long a client may repeat a refresh whose response it did not receive.
pub const RETRY_WINDOW: TimeDelta = TimeDelta::seconds(60);

/// A row of the table `sessions`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::sessions, check_for_backend(diesel::pg::Pg))]
pub struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    pub org_id: Option<OrgId>,
    pub user_agent: Option<String>,
    pub ip: IpNet,
    pub created_at: DateTime<Utc>,
    pub authenticated_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub refresh_generation: i32,
    pub refreshed_at: Option<DateTime<Utc>>,
}

/// What a refresh token is to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentedToken {
    Current,
    /// The predecessor of the current one, shortly after the exchange: the client may not have received the response.
    Repeated,
    /// An older one: it was copied, or the client lost its successors.
    Exchanged,
    /// One that this session never had, for example because the database was restored from a backup.
    Unknown,
}

impl Session {
    /// When the session expires, unless it is refreshed.
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.expires_at.min(self.last_used_at + IDLE_LIFETIME)
    }

    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now < self.ends_at()
    }

    /// The refresh token to present next.
    pub const fn refresh_token(&self) -> RefreshToken {
        RefreshToken {
            session_id: self.id,
            generation: self.refresh_generation,
        }
    }

    pub fn classify(&self, token: RefreshToken, now: DateTime<Utc>) -> PresentedToken {
        let is_recent = self.refreshed_at.is_some_and(|at| now - at <= RETRY_WINDOW);
        match self.refresh_generation.saturating_sub(token.generation) {
            0 => PresentedToken::Current,
            1 if is_recent => PresentedToken::Repeated,
            1.. => PresentedToken::Exchanged,
            _ => PresentedToken::Unknown,
        }
    }
}

string_enum! {
    /// Why a session was ended before it expired.
    pub enum EndReason {
        /// The user logged out.
        LoggedOut "logged_out",
        /// The user ended the session from another one.
        EndedByUser "ended_by_user",
        /// A platform admin ended all sessions of the user.
        EndedByAdmin "ended_by_admin",
        /// An exchanged refresh token was presented again.
        TokenReused "token_reused",
        /// The password was changed or reset.
        PasswordChanged "password_changed",
        /// A change of e-mail address was reverted.
        EmailReverted "email_reverted",
        /// The account was disabled.
        Disabled "disabled",
        /// The user logged in more often than there may be live sessions.
        LimitReached "limit_reached",
    }
}

/// The data from which tokens are issued, after a login, a refresh, a re-authentication or a switch of the organisation.
#[derive(Clone, Debug)]
pub struct Grant {
    pub session_id: SessionId,
    pub user_id: UserId,
    pub role: PlatformRole,
    /// When the user last entered the password in the session.
    pub authenticated_at: DateTime<Utc>,
    /// When the session expires, unless it is refreshed.
    pub ends_at: DateTime<Utc>,
    pub active_org: Option<OrgSummary>,
    /// Whether username and nickname are set.
    pub profile_complete: bool,
    /// The refresh token to issue. `None`: the client keeps the one it has.
    pub refresh_token: Option<RefreshToken>,
}

impl Grant {
    pub fn refresh_token(&self, secret: &ServerSecret) -> Option<Token> {
        self.refresh_token.map(|token| token.encode(secret))
    }

    /// Issues the tokens.
    pub fn tokens(
        &self,
        now: DateTime<Utc>,
        tokens: &AccessTokens,
        secret: &ServerSecret,
    ) -> Result<TokensResponse, Error> {
        let subject = TokenSubject {
            user_id: self.user_id,
            session_id: self.session_id,
            authenticated_at: self.authenticated_at,
            role: self.role,
            active_org: self.active_org.as_ref().map(|org| ActiveOrg {
                org_id: org.id,
                role: org.role,
            }),
        };
        Ok(TokensResponse {
            access_token: tokens.issue(now, &subject)?,
            token_type: "Bearer",
            expires_in: tokens.lifetime_seconds(),
            refresh_token: self.refresh_token(secret).map(|token| token.expose().to_owned()),
            refresh_token_expires_at: self.ends_at.into(),
            session_id: self.session_id,
            profile_complete: self.profile_complete,
            org: self.active_org.clone(),
        })
    }
}

/// The tokens of a session.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub struct TokensResponse {
    /// Access token, for `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Lifetime of the access token, in seconds.
    pub expires_in: i64,
    /// Refresh token, for one `POST /auth/refresh`. Null if it is in a cookie, or if the client keeps the one it has.
    pub refresh_token: Option<String>,
    /// Time at which the session expires, unless it is refreshed.
    pub refresh_token_expires_at: Timestamp,
    /// Id of the session.
    pub session_id: SessionId,
    /// Whether username and nickname are set. If not, a frontend shows the profile page.
    pub profile_complete: bool,
    /// Organisation in which the session acts.
    pub org: Option<OrgSummary>,
}
