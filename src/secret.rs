//! Opaque tokens: made, checked, hashed, and derived under the server's secret.
//!
//! A [`Token`] is what travels to a person; a [`TokenHash`] is what is stored. Mailed tokens and refresh tokens are not
//! random but derived from the id of their row under the [`ServerSecret`], with the purpose mixed in: the database
//! need not hold them even until the mail has left, and a token made for one door opens no other.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// A secret in clear, on its way to or from its owner. It has no `Debug` and no `Display`.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Takes what a client presented.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself: for the one answer or the one mail that carries it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored of it, and looked up by.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.expose().as_bytes())
    }
}

/// SHA-256 (FIPS 180-4) of a token. A fast hash is right here, for the tokens have at least 190 bits of entropy.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(hash)
    }

    /// The 32 bytes, as stored.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a derived value is for; mixed into it, so that it is good for that alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The mailed link that proves the mailbox of a registration.
    VerifyEmail,
    /// The mailed link that sets a forgotten password anew.
    ResetPassword,
    /// The link to a new e-mail address.
    ConfirmEmail,
    /// The link to the old e-mail address, which stops or undoes the change.
    RevertEmail,
    /// The link of an invitation into an organisation.
    Invitation,
    /// A refresh token.
    Refresh,
    /// The seal on a page cursor.
    Cursor,
    /// The recognition of a repeated request.
    Idempotency,
    /// The name under which failed passwords of an account are counted.
    Throttle,
}

impl Purpose {
    /// The word in the database and in derivations. Changing one invalidates what was issued under it.
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
        }
    }
}

/// The 32 random bytes of `KEYWARD_SECRET_FILE`. Instances that share a database share it.
#[derive(Clone)]
pub struct ServerSecret(hmac::Key);

impl ServerSecret {
    /// How long the secret is.
    pub const BYTES: usize = 32;

    /// From the bytes of the secret file.
    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// HMAC-SHA-256 (RFC 2104) of the purpose and the parts; each part is preceded by its length, so that no two lists
    /// of parts run together.
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

    /// The token of the row `id`: 43 characters of base64url (RFC 4648 §5).
    pub fn token(&self, purpose: Purpose, id: Uuid) -> Token {
        Token::presented(URL_SAFE_NO_PAD.encode(self.mac(purpose, &[id.as_bytes()])))
    }
}

/// Compares in a time that does not depend on where the two differ.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Bytes from the operating system's generator.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random<const N: usize>() -> Result<[u8; N], aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}
