//! Passwords: normalised, hashed with Argon2id (RFC 9106), never on the async threads, never too many at once.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use crate::config::Config;
use crate::error::{Error, FieldCode, Invalid};
use crate::http::{Invalids, Member};

/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// A password in NFKC (Unicode Standard Annex #15), so that it is the same from every keyboard. It has no `Debug`; whether
/// it is good enough is for the policy to say.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// More code points than any policy may allow; what is longer is not even normalised.
    pub const MAX: usize = 4096;

    /// The text, for hashing and for the policy.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl TryFrom<String> for Password {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        crate::http::check_length(&text, 0, Self::MAX)?;
        if text.contains('\0') {
            return Err(Invalid::new(
                FieldCode::InvalidFormat,
                "Must not contain the character U+0000.",
            ));
        }
        Ok(Self(SecretString::from(text.nfkc().collect::<String>())))
    }
}

impl Member for Password {
    fn parse(value: Value) -> Result<Self, Invalids> {
        Ok(Self::try_from(String::parse(value)?)?)
    }
}

impl utoipa::PartialSchema for Password {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let format = SchemaFormat::KnownFormat(KnownFormat::Password);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .into()
    }
}

impl utoipa::ToSchema for Password {}

/// Hashes and checks passwords, as many at once as there are cores: each takes its memory and its whole core.
#[derive(Clone)]
pub struct Hasher {
    argon2: Argon2<'static>,
    permits: Arc<Semaphore>,
    /// The hash of nothing anybody knows, to spend the same time on accounts that do not exist.
    dummy: Arc<str>,
}

impl Hasher {
    /// With the configured cost.
    ///
    /// # Errors
    /// When Argon2 does not take the cost.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let params =
            Params::new(config.argon2_memory_kib, config.argon2_iterations, 1, None).map_err(Error::internal)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let permits = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut nobody = [0_u8; 32];
        crate::secret::fill_random(&mut nobody).map_err(|_| Error::internal("no randomness"))?;
        let dummy = argon2
            .hash_password(&nobody)
            .map_err(|error| Error::internal(error.to_string()))?
            .to_string();
        Ok(Self {
            argon2,
            permits: Arc::new(Semaphore::new(permits)),
            dummy: dummy.into(),
        })
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(Error::unavailable)?
            .map_err(Error::unavailable)?;
        let argon2 = self.argon2.clone();
        #[expect(clippy::disallowed_methods, reason = "bounded by the permit")]
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&argon2)
        });
        done.await.map_err(Error::internal)?
    }

    /// The PHC string to store.
    ///
    /// # Errors
    /// `unavailable` when no turn comes in time.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        self.take_turn(move |argon2| {
            let hash = argon2.hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string())
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await
    }

    /// Whether `password` is the one behind `hash`; without a hash the same time is spent, and the answer is no.
    ///
    /// # Errors
    /// `unavailable` when no turn comes in time.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        let dummy = Arc::clone(&self.dummy);
        self.take_turn(move |argon2| {
            let known = hash.is_some();
            let parsed = PasswordHash::new(hash.as_deref().unwrap_or(&dummy))
                .map_err(|error| Error::internal(error.to_string()))?;
            Ok(argon2.verify_password(password.expose().as_bytes(), &parsed).is_ok() && known)
        })
        .await
    }

    /// Whether `hash` was made at another cost than is configured now.
    pub fn is_outdated(&self, hash: &str) -> bool {
        let params = PasswordHash::new(hash)
            .ok()
            .and_then(|hash| Params::try_from(&hash).ok());
        params.is_none_or(|params| {
            let wanted = self.argon2.params();
            (params.m_cost(), params.t_cost(), params.p_cost()) != (wanted.m_cost(), wanted.t_cost(), wanted.p_cost())
        })
    }
}
