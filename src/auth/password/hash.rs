//! Passwords: normalised, hashed with Argon2id (RFC 9106), never on the async threads, never too many at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use crate::blocking_pool::BlockingPool;
use crate::config::Config;
use crate::error::{Error, FieldCode, Invalid};
use crate::values::{FieldValue, Invalids};

/// Longest wait for a turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

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
        crate::values::check_length(&text, 0, Self::MAX)?;
        if text.contains('\0') {
            return Err(Invalid::new(
                FieldCode::InvalidFormat,
                "Must not contain the character U+0000.",
            ));
        }
        Ok(Self(SecretString::from(text.nfkc().collect::<String>())))
    }
}

impl FieldValue for Password {
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

/// The memory of one hash, as Argon2 works on it.
type Memory = Vec<Block>;

/// Hashes and checks passwords, as many at once as there are cores: each takes its memory and its whole core. The memory is
/// kept and used again: giving megabytes back and asking for them anew costs time, and leaves holes in the heap.
#[derive(Clone)]
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    blocking_pool: Arc<BlockingPool>,
    /// As many as there are threads, at most.
    memories: Arc<Mutex<Vec<Memory>>>,
    /// The hash of nothing anybody knows, to spend the same time on accounts that do not exist.
    dummy: Arc<str>,
}

impl PasswordHasher {
    /// With the configured cost.
    ///
    /// # Errors
    /// When Argon2 does not take the cost.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let params =
            Params::new(config.argon2_memory_kib, config.argon2_iterations, 1, None).map_err(Error::internal)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Nothing is known to hash to it, and to compare with it takes as long as with any other.
        let dummy = phc_string(&argon2, random()?, random()?);
        Ok(Self {
            argon2,
            blocking_pool: Arc::new(BlockingPool::new("passwords", cores, QUEUE_TIMEOUT)),
            memories: Arc::default(),
            dummy: dummy.into(),
        })
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>, &mut Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (argon2, memories) = (self.argon2.clone(), Arc::clone(&self.memories));
        let work = move || {
            let mut memory = lock(&memories).pop().unwrap_or_default();
            let result = work(&argon2, &mut memory);
            lock(&memories).push(memory);
            result
        };
        self.blocking_pool.run(work).await
    }

    /// The PHC string to store.
    ///
    /// # Errors
    /// `unavailable` when no turn comes in time.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        self.take_turn(move |argon2, memory| hashed(argon2, password.expose().as_bytes(), memory))
            .await
    }

    /// Whether `password` is the one behind `hash`; without a hash the same time is spent, and the answer is no.
    ///
    /// # Errors
    /// `unavailable` when no turn comes in time.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        let dummy = Arc::clone(&self.dummy);
        self.take_turn(move |_, memory| {
            let is_right = matches(hash.as_deref().unwrap_or(&dummy), password.expose().as_bytes(), memory)?;
            Ok(is_right && hash.is_some())
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

fn lock(memories: &Mutex<Vec<Memory>>) -> MutexGuard<'_, Vec<Memory>> {
    // Nothing that can panic is done while it is held.
    memories.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], out: &mut [u8], memory: &mut Memory) -> Result<(), Error> {
    memory.resize(argon2.params().block_count(), Block::new());
    argon2
        .hash_password_into_with_memory(password, salt, out, memory)
        .map_err(|error| Error::internal(error.to_string()))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    crate::secret::random().map_err(|_| Error::internal("no randomness"))
}

/// Hashes a password under a new salt.
fn hashed(argon2: &Argon2<'_>, password: &[u8], memory: &mut Memory) -> Result<String, Error> {
    let (salt, mut out) = (random()?, [0; 32]);
    digest(argon2, password, &salt, &mut out, memory)?;
    Ok(phc_string(argon2, salt, out))
}

/// The PHC string of a hash.
fn phc_string(argon2: &Argon2<'_>, salt: [u8; 16], hash: [u8; 32]) -> String {
    let params = argon2.params();
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    let [salt, hash] = [salt.as_slice(), hash.as_slice()].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
}

/// Whether a password is the one behind a PHC string, at the cost that is written there.
fn matches(phc: &str, password: &[u8], memory: &mut Memory) -> Result<bool, Error> {
    let unreadable = || Error::internal("a stored password hash cannot be read");
    let parsed = PasswordHash::new(phc).map_err(|_| unreadable())?;
    let algorithm = Algorithm::try_from(parsed.algorithm.as_ref()).map_err(|_| unreadable())?;
    let params = Params::try_from(&parsed).map_err(|_| unreadable())?;
    let (Some(salt), Some(expected)) = (&parsed.salt, &parsed.hash) else {
        return Err(unreadable());
    };
    let mut out = vec![0; expected.as_bytes().len()];
    digest(
        &Argon2::new(algorithm, Version::V0x13, params),
        password,
        salt,
        &mut out,
        memory,
    )?;
    Ok(crate::secret::constant_time_eq(&out, expected.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_a_phc_string_that_others_can_check_and_theirs_can_be_checked_here() {
        use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

        let argon2 = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(16, 2, 1, None).unwrap(),
        );
        let ours = hashed(&argon2, b"secret", &mut Memory::new()).unwrap();
        let parsed = PasswordHash::new(&ours).unwrap();
        assert!(Argon2::default().verify_password(b"secret", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"Secret", &parsed).is_err());
        let theirs = argon2.hash_password(b"secret").unwrap().to_string();
        // The memory may still hold what another hash left there, and be of another size.
        let mut memory = vec![Block::new(); 64];
        for (password, is_right) in [(b"secret", true), (b"Secret", false), (b"secret", true)] {
            assert_eq!(matches(&theirs, password, &mut memory).unwrap(), is_right);
        }
    }
}
