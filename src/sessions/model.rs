//! What a session is, and how long it lasts.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{AccessTokens, PlatformRole};
use crate::error::Error;
use crate::orgs::membership::OrgSummary;
use crate::secret::{Purpose, ServerSecret, Token};
use crate::values::Timestamp;
use crate::values::ids::{OrgId, RefreshTokenId, SessionId, UserId};

/// A session ends when it was not refreshed for this long,
pub const IDLE_LIFETIME: TimeDelta = TimeDelta::days(30);
/// and when it is this old.
pub const LIFETIME: TimeDelta = TimeDelta::days(90);
/// Who asks again with the same refresh token within this time has lost the answer, not the token.
pub const RETRY_WINDOW: TimeDelta = TimeDelta::seconds(10);

/// A session, as stored.
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
}

impl Session {
    /// When it ends, if nothing happens.
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.expires_at.min(self.last_used_at + IDLE_LIFETIME)
    }

    /// Whether it is good still.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now < self.ends_at()
    }
}

/// Why a session ended, for the log.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    LoggedOut,
    EndedByUser,
    EndedByAdmin,
    TokenReused,
    PasswordChanged,
    EmailReverted,
    Disabled,
}

impl EndReason {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::EndedByUser => "ended_by_user",
            Self::EndedByAdmin => "ended_by_admin",
            Self::TokenReused => "token_reused",
            Self::PasswordChanged => "password_changed",
            Self::EmailReverted => "email_reverted",
            Self::Disabled => "disabled",
        }
    }
}

/// What a login, a refresh, a switch or a re-authentication gives: enough to make tokens of.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session.
    pub session_id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Their role on the platform.
    pub role: PlatformRole,
    /// When the password was last shown.
    pub authenticated_at: DateTime<Utc>,
    /// When the session ends, if it is not refreshed before.
    pub ends_at: DateTime<Utc>,
    /// Where it acts.
    pub org: Option<OrgSummary>,
    /// Whether the first-login set-up is done.
    pub profile_complete: bool,
    /// The refresh token to derive; none where the present one stays.
    pub refresh_token_id: Option<RefreshTokenId>,
}

impl Grant {
    /// The refresh token, if there is a new one.
    pub fn refresh_token(&self, secret: &ServerSecret) -> Option<Token> {
        self.refresh_token_id
            .map(|id| secret.token(Purpose::Refresh, id.uuid()))
    }

    /// The answer, refresh token included.
    ///
    /// # Errors
    /// When signing fails.
    pub fn tokens(
        &self,
        now: DateTime<Utc>,
        tokens: &AccessTokens,
        secret: &ServerSecret,
    ) -> Result<TokensResponse, Error> {
        let org = self.org.as_ref().map(|org| (org.id, org.role));
        let session = (self.user_id, self.session_id);
        Ok(TokensResponse {
            access_token: tokens.issue(now, session, self.authenticated_at, self.role, org)?,
            token_type: "Bearer",
            expires_in: tokens.lifetime_seconds(),
            refresh_token: self.refresh_token(secret).map(|token| token.expose().to_owned()),
            refresh_token_expires_at: self.ends_at.into(),
            session_id: self.session_id,
            profile_complete: self.profile_complete,
            org: self.org.clone(),
        })
    }
}

/// A session's tokens.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub struct TokensResponse {
    /// Goes into `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// How long the access token is good, in seconds.
    pub expires_in: i64,
    /// For `POST /auth/refresh`, once; null when it travels in a cookie, or when the present one stays good.
    pub refresh_token: Option<String>,
    /// When the session ends, if it is not refreshed before.
    pub refresh_token_expires_at: Timestamp,
    /// The session.
    pub session_id: SessionId,
    /// Whether username and nickname are set; if not, a frontend opens the profile page.
    pub profile_complete: bool,
    /// Where the session acts.
    pub org: Option<OrgSummary>,
}
