//! Passwords, and their hashing with Argon2id (RFC 9106) on threads of its own.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use super::queue::{Place, Queue};
use crate::blocking_pool::BlockingPool;
use crate::config::Config;
use crate::error::{Error, FieldCode, Invalid};
use crate::values::{FieldValue, ValueErrors};

/// How long a hash may wait for a free thread. The queue admits no request that is expected to wait longer.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// About how long a hash takes on a core with the default parameters.
const DEFAULT_HASH_TIME: Duration = Duration::from_millis(25);
const DEFAULT_BLOCKS: u32 = 19_456 * 2;

/// The length of a salt (RFC 9106 §3.1 recommends 16 bytes).
pub const SALT_BYTES: usize = 16;

/// A password in NFKC (Unicode Standard Annex #15), so that keyboards that compose characters differently produce the same
/// one. It has no `Debug`. The type doesn't imply that the password satisfies the policy.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// Maximum number of code points before normalisation; more than any policy allows.
    pub const MAX: usize = 4096;

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
    fn parse(value: Value) -> Result<Self, ValueErrors> {
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

/// The working memory of one hash: 19 MiB with the default settings.
type Memory = Vec<Block>;

/// Hashes and verifies passwords, at most as many at once as there are cores, because a hash keeps a core busy for about
/// 20 ms. The working memory is reused: allocating it for each hash costs 1 ms of 19 when hashes follow each other, and
/// 15 ms or more once the allocator has returned the memory to the system, because every page is then faulted in again.
#[derive(Clone)]
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    pool: Arc<BlockingPool>,
    queue: Arc<Queue>,
    /// Memory that no hash uses at present, at most one per thread.
    free_memory: Arc<Mutex<Vec<Memory>>>,
    /// Verified against when an account does not exist or has no password, so that the response takes as long.
    dummy_hash: Arc<str>,
}

impl PasswordHasher {
    pub fn new(config: &Config) -> Result<Self, Error> {
        let params =
            Params::new(config.argon2_memory_kib, config.argon2_iterations, 1, None).map_err(Error::internal)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let blocks = config.argon2_memory_kib.saturating_mul(config.argon2_iterations);
        let hash_time = DEFAULT_HASH_TIME.mul_f64(f64::from(blocks) / f64::from(DEFAULT_BLOCKS));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Random bytes in place of a hash: no known password matches them.
        let dummy_hash = phc_string(&argon2, random()?, random()?);
        Ok(Self {
            argon2,
            // Without a limit of its own: the queue admits requests.
            pool: Arc::new(BlockingPool::new("passwords", cores, usize::MAX, QUEUE_TIMEOUT)),
            queue: Arc::new(Queue::new(cores, hash_time, config.rate_limits_enabled())),
            free_memory: Arc::default(),
            dummy_hash: dummy_hash.into(),
        })
    }

    /// Admits a request of a client that needs hashes. The place has to be kept until the last of them.
    ///
    /// # Errors
    /// `unavailable` when the hashes would have to wait too long, `rate_limited` when the network of `ip` has too many requests.
    pub fn reserve(&self, ip: IpAddr) -> Result<Place, Error> {
        self.queue.reserve(ip)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>, &mut Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (argon2, free_memory, queue) = (
            self.argon2.clone(),
            Arc::clone(&self.free_memory),
            Arc::clone(&self.queue),
        );
        let work = move || {
            let mut memory = lock(&free_memory).pop().unwrap_or_default();
            let started = Instant::now();
            let result = work(&argon2, &mut memory);
            queue.record_hash(started.elapsed());
            lock(&free_memory).push(memory);
            result
        };
        self.pool.run(work).await
    }

    /// The PHC string to store for a password.
    ///
    /// # Errors
    /// `unavailable` when no thread is free in time.
    pub async fn hash(&self, password: Password) -> Result<String, Error> {
        self.run(move |argon2, memory| hashed(argon2, password.expose().as_bytes(), memory))
            .await
    }

    /// The PHC string of a password with the given salt, to find the password among several that were hashed with it.
    ///
    /// # Errors
    /// `unavailable` when no thread is free in time.
    pub async fn hash_with_salt(&self, password: Password, salt: [u8; SALT_BYTES]) -> Result<String, Error> {
        self.run(move |argon2, memory| hashed_with_salt(argon2, password.expose().as_bytes(), salt, memory))
            .await
    }

    /// Whether the password matches the hash. Without a hash the result is false, after the same time.
    ///
    /// # Errors
    /// `unavailable` when no thread is free in time.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, Error> {
        let dummy_hash = Arc::clone(&self.dummy_hash);
        self.run(move |_, memory| {
            let is_match = matches(
                hash.as_deref().unwrap_or(&dummy_hash),
                password.expose().as_bytes(),
                memory,
            )?;
            Ok(is_match && hash.is_some())
        })
        .await
    }

    /// As [`verify`](Self::verify), but takes the same time for every hash and without one, although hashes may differ in
    /// their parameters: `parameters_in_use` are those of all stored hashes, and the password is hashed once with each.
    ///
    /// # Errors
    /// `unavailable` when no thread is free in time.
    pub async fn verify_login(
        &self,
        password: Password,
        hash: Option<String>,
        parameters_in_use: Vec<String>,
    ) -> Result<bool, Error> {
        let candidates = candidates(hash, &self.dummy_hash, parameters_in_use);
        self.run(move |_, memory| {
            let mut is_correct = false;
            for candidate in &candidates {
                let is_match = matches(&candidate.phc, password.expose().as_bytes(), memory)?;
                is_correct |= is_match && candidate.is_stored;
            }
            Ok(is_correct)
        })
        .await
    }

    /// Whether the hash was computed with other parameters than are configured now.
    pub fn is_outdated(&self, hash: &str) -> bool {
        let params = PasswordHash::new(hash)
            .ok()
            .and_then(|hash| Params::try_from(&hash).ok());
        params.is_none_or(|params| {
            let current = self.argon2.params();
            (params.m_cost(), params.t_cost(), params.p_cost())
                != (current.m_cost(), current.t_cost(), current.p_cost())
        })
    }
}

/// A hash to compare a password with.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    phc: String,
    /// False for a hash that no password matches.
    is_stored: bool,
}

/// The stored hash, if there is one, and a dummy for each other set of parameters; in the order of the parameters.
fn candidates(stored: Option<String>, dummy: &str, parameters_in_use: Vec<String>) -> Vec<Candidate> {
    let own = stored.as_deref().and_then(parameters).map(ToOwned::to_owned);
    let mut all: BTreeSet<String> = parameters_in_use.into_iter().chain(own.clone()).collect();
    let dummy_parameters = parameters(dummy).unwrap_or_default();
    if all.is_empty() {
        all.insert(dummy_parameters.to_owned());
    }
    let mut stored = stored;
    all.into_iter()
        .map(
            |parameters| match stored.take_if(|_| own.as_ref() == Some(&parameters)) {
                Some(phc) => Candidate { phc, is_stored: true },
                None => Candidate {
                    phc: dummy.replacen(dummy_parameters, &parameters, 1),
                    is_stored: false,
                },
            },
        )
        .collect()
}

/// The parameters in a PHC string: `m=19456,t=2,p=1`.
fn parameters(phc: &str) -> Option<&str> {
    phc.split('$').nth(3)
}

fn lock(free_memory: &Mutex<Vec<Memory>>) -> MutexGuard<'_, Vec<Memory>> {
    // The lock is never held during anything that can panic, so a poisoned one is consistent.
    free_memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], out: &mut [u8], memory: &mut Memory) -> Result<(), Error> {
    memory.resize(argon2.params().block_count(), Block::new());
    argon2
        .hash_password_into_with_memory(password, salt, out, memory)
        .map_err(|error| Error::internal(error.to_string()))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    crate::secret::random().map_err(|_| Error::internal("the operating system provides no random bytes"))
}

/// The PHC string of a password with a new salt.
fn hashed(argon2: &Argon2<'_>, password: &[u8], memory: &mut Memory) -> Result<String, Error> {
    hashed_with_salt(argon2, password, random()?, memory)
}

fn hashed_with_salt(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: [u8; SALT_BYTES],
    memory: &mut Memory,
) -> Result<String, Error> {
    let mut out = [0; 32];
    digest(argon2, password, &salt, &mut out, memory)?;
    Ok(phc_string(argon2, salt, out))
}

fn phc_string(argon2: &Argon2<'_>, salt: [u8; SALT_BYTES], hash: [u8; 32]) -> String {
    let params = argon2.params();
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    let [salt, hash] = [salt.as_slice(), hash.as_slice()].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
}

/// Whether a password matches a PHC string; the parameters are those of the string.
fn matches(phc: &str, password: &[u8], memory: &mut Memory) -> Result<bool, Error> {
    let unreadable = || Error::internal("a stored password hash is not a PHC string of Argon2");
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
    fn every_login_is_hashed_with_the_same_parameters() {
        let phc = |parameters: &str, rest: &str| format!("$argon2id$v=19${parameters}${rest}");
        let (older, newer) = ("m=8,t=1,p=1", "m=16,t=2,p=1");
        let dummy = phc(newer, "c2FsdA$aGFzaA");
        let in_use = || vec![older.to_owned(), newer.to_owned()];
        for stored in [None, Some(phc(older, "YQ$Yg")), Some(phc(newer, "YQ$Yg"))] {
            let candidates = candidates(stored.clone(), &dummy, in_use());
            let used: Vec<_> = candidates.iter().map(|each| parameters(&each.phc).unwrap()).collect();
            assert_eq!(used, [newer, older]);
            let real: Vec<_> = candidates.iter().filter(|each| each.is_stored).collect();
            assert_eq!(real.first().map(|each| &each.phc), stored.as_ref());
        }
        // Without any account, and with one whose parameters were not read.
        assert_eq!(
            candidates(None, &dummy, Vec::new()),
            [Candidate {
                phc: dummy.clone(),
                is_stored: false
            }]
        );
        let stored = phc(older, "YQ$Yg");
        assert_eq!(
            candidates(Some(stored.clone()), &dummy, Vec::new()),
            [Candidate {
                phc: stored,
                is_stored: true
            }]
        );
    }

    #[test]
    fn hashes_are_compatible_with_the_argon2_crate_in_both_directions() {
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
        // The memory may have another size, and contents that another hash left there.
        let mut memory = vec![Block::new(); 64];
        for (password, is_match) in [(b"secret", true), (b"Secret", false), (b"secret", true)] {
            assert_eq!(matches(&theirs, password, &mut memory).unwrap(), is_match);
        }
    }
}
