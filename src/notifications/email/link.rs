//! Mailed links: where they lead, what they are good for, and for how long.

use chrono::TimeDelta;

use crate::secret::{Purpose, ServerSecret, Token};
use crate::values::ids::OneTimeTokenId;

/// The kinds of link there are. The lifetime stands here because the text of the mail states it: who stores the one-time
/// token takes it from here too, so that text and database agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Proves the mailbox of a registration.
    VerifyEmail,
    /// Sets a forgotten password anew.
    ResetPassword,
    /// Proves the new address of an e-mail change.
    ConfirmEmail,
    /// Stops or undoes an e-mail change.
    RevertEmail,
    /// Accepts an invitation.
    Invitation,
}

impl Link {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ConfirmEmail,
        Self::RevertEmail,
        Self::Invitation,
    ];

    /// The page of the frontend that takes the token.
    pub const fn page(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::ResetPassword => "reset-password",
            Self::ConfirmEmail => "confirm-email",
            Self::RevertEmail => "revert-email",
            Self::Invitation => "invitation",
        }
    }

    /// The purpose of the one-time token behind it.
    pub const fn purpose(self) -> Purpose {
        match self {
            Self::VerifyEmail => Purpose::VerifyEmail,
            Self::ResetPassword => Purpose::ResetPassword,
            Self::ConfirmEmail => Purpose::ConfirmEmail,
            Self::RevertEmail => Purpose::RevertEmail,
            Self::Invitation => Purpose::Invitation,
        }
    }

    /// How long it works: from the mail on, but [`Link::RevertEmail`] from the moment the change takes effect.
    pub const fn lifetime(self) -> TimeDelta {
        match self {
            Self::VerifyEmail | Self::ConfirmEmail => TimeDelta::hours(24),
            Self::ResetPassword => TimeDelta::minutes(60),
            Self::RevertEmail | Self::Invitation => TimeDelta::days(7),
        }
    }

    /// The token behind the link of the row `id`.
    pub fn token(self, secret: &ServerSecret, id: OneTimeTokenId) -> Token {
        secret.token(self.purpose(), id.uuid())
    }

    /// The whole link. The token travels in the fragment, which browsers send to no server.
    pub(super) fn url(self, app_url: &str, token: &Token) -> String {
        format!("{app_url}/{}#token={}", self.page(), token.expose())
    }
}
