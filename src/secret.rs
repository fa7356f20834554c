//! Opaque tokens, their hashes, and the server secret from which mailed tokens and refresh tokens are derived.
//!
//! [`Token`] is the plaintext; the database stores only its [`TokenHash`]. The secrets of API keys are random. Mailed
//! tokens and refresh tokens are an HMAC of what they stand for under the [`ServerSecret`], so the plaintext needn't be
//! stored even while an e-mail waits in the outbox. The [`Purpose`] is part of the HMAC: a token made for one endpoint
//! doesn't work at another.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// A plaintext secret. It has no `Debug` and no `Display`, so it can't be logged by accident.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The plaintext, for the response or e-mail that contains it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose().as_bytes())
    }
}

/// SHA-256 (FIPS 180-4) of a token. A fast hash is enough: the tokens have at least 190 bits of entropy.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(hash)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Without the value: a log line needs no hashes.
impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

/// The use of a derived value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The link that verifies the address of a registration.
    VerifyEmail,
    /// The link that resets a forgotten password.
    ResetPassword,
    /// The link, sent to a new e-mail address, that confirms it.
    ConfirmEmail,
    /// The link, sent to the old e-mail address, that cancels or reverts the change.
    RevertEmail,
    /// The link that accepts an invitation to an organisation.
    Invitation,
    /// A refresh token.
    Refresh,
    /// The MAC of a page cursor.
    Cursor,
    /// The MAC by which a repeated request is recognised.
    Idempotency,
    /// The key under which the failed logins of an account are counted.
    Throttle,
    /// The salt of the passwords of all registrations of an address.
    RegistrationSalt,
    /// By which instances compare their secrets.
    Fingerprint,
}

impl Purpose {
    /// The name in the database and in the HMAC. Changing it invalidates everything issued for the purpose.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::ConfirmEmail => "confirm_email",
            Self::RevertEmail => "revert_email",
            Self::Invitation => "invitation",
            Self::Refresh => "refresh",
            Self::Cursor => "cursor",
            Self::Idempotency => "idempotency",
            Self::Throttle => "throttle",
            Self::RegistrationSalt => "registration_salt",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// The 32 random bytes of `KEYWARD_SECRET_FILE`. All instances that share a database need the same.
#[derive(Clone)]
pub struct ServerSecret(hmac::Key);

impl ServerSecret {
    pub const BYTES: usize = 32;

    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// HMAC-SHA-256 (RFC 2104) of the purpose and the parts. Each is preceded by its length, so that different lists of
    /// parts never yield the same input.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&purpose.as_str().as_bytes()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Identifies the secret without disclosing it.
    pub fn fingerprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(Purpose::Fingerprint, &[]))
    }

    /// The token of the row `id`: 43 characters of base64url (RFC 4648 §5).
    pub fn token(&self, purpose: Purpose, id: Uuid) -> Token {
        Token::new(URL_SAFE_NO_PAD.encode(self.mac(purpose, &[id.as_bytes()])))
    }
}

/// Takes the same time wherever the two differ, so that a MAC can't be guessed byte by byte.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Bytes from a cryptographically secure generator.
///
/// # Errors
/// The operating system provides no randomness.
pub fn random<const N: usize>() -> Result<[u8; N], aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}
