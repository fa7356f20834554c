//! The links in e-mails: the page they open, the purpose of their token, and how long they work.

use chrono::TimeDelta;

use crate::secret::{Purpose, ServerSecret, Token};
use crate::values::ids::OneTimeTokenId;

/// A kind of link. Its lifetime is defined here for the e-mail, which states it, and for the operation that stores the
/// one-time token, so that the two agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Verifies the address of a registration.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
    /// Verifies the new address of an e-mail change.
    ConfirmEmail,
    /// Stops or undoes an e-mail change.
    RevertEmail,
    /// Accepts an invitation.
    Invitation,
}

impl Link {
    pub const ALL: [Self; 5] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::ConfirmEmail,
        Self::RevertEmail,
        Self::Invitation,
    ];

    /// The page of the frontend that sends the token to the API.
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

    /// How long it works after the e-mail is queued; [`Link::RevertEmail`], after the change takes effect.
    pub const fn lifetime(self) -> TimeDelta {
        match self {
            Self::VerifyEmail | Self::ConfirmEmail => TimeDelta::hours(24),
            Self::ResetPassword => TimeDelta::minutes(60),
            Self::RevertEmail | Self::Invitation => TimeDelta::days(7),
        }
    }

    /// The token of the row `id`.
    pub fn token(self, secret: &ServerSecret, id: OneTimeTokenId) -> Token {
        secret.token(self.purpose(), id.uuid())
    }

    /// The URL. The token is in the fragment, which browsers don't send to any server.
    pub fn url(self, app_url: &str, token: &Token) -> String {
        format!("{app_url}/{}#token={}", self.page(), token.expose())
    }
}
