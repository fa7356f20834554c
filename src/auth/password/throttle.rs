//! The throttle of password attempts, shared by every path that checks a password.
//!
//! An attempt is recorded before the password is checked, so that parallel guesses count like sequential ones. A correct
//! password deletes the attempts on its account from its network. A network is one IPv4 address, or the /64 of an IPv6
//! address, because one host usually has a whole /64. Nothing locks an account for good, and until very many networks guess
//! at once its owner can still log in from a network that made no attempts.
//!
//! # Order of locks
//!
//! 1. the row in `users`, where a transaction locks it at all
//! 2. the advisory lock of the account ([`ThrottleKey::lock_key`])
//! 3. the advisory lock of the network ([`lock_key_of_network`])
//! 4. rows of `password_attempts`: several only under the lock of their account; the sweep skips rows that are locked
//!
//! Every transaction locks at most one account and one network, always in this order, so that none waits in a circle.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::count;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use ipnet::IpNet;

use crate::db::Tx;
use crate::db::schema::password_attempts;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::observability::refusals::Refused;
use crate::secret::{Purpose, ServerSecret, TokenHash};
use crate::values::ids::UserId;
use crate::values::network_of;

/// The maximum number of failed attempts within a period.
struct Limit {
    attempts: i64,
    window: TimeDelta,
}

/// On one account, from one network.
const PER_ACCOUNT_AND_NETWORK: Limit = Limit {
    attempts: 10,
    window: TimeDelta::minutes(15),
};
/// From one network, on all accounts.
const PER_NETWORK: Limit = Limit {
    attempts: 100,
    window: TimeDelta::minutes(15),
};
/// On one account, if the attempts come from at least [`MIN_NETWORKS`].
const PER_ACCOUNT: Limit = Limit {
    attempts: 1000,
    window: TimeDelta::hours(1),
};
/// With fewer networks the other limits suffice, and a few hosts must not lock out the owner.
const MIN_NETWORKS: i64 = 10;
/// No limit counts an older attempt.
const LONGEST_WINDOW: TimeDelta = PER_ACCOUNT.window;

/// The key under which attempts are counted: one per account, whichever login was used, and one per login that has no
/// account, so that both kinds are throttled alike.
#[derive(Clone, Copy)]
pub struct ThrottleKey([u8; 32]);

impl ThrottleKey {
    pub fn of_user(secret: &ServerSecret, user_id: UserId) -> Self {
        Self(secret.mac(Purpose::Throttle, &[b"user", user_id.uuid().as_bytes()]))
    }

    /// The key of a login, in canonical form, that has no account.
    pub fn of_unknown_login(secret: &ServerSecret, login: &str) -> Self {
        Self(secret.mac(Purpose::Throttle, &[b"login", login.as_bytes()]))
    }

    /// The key of the advisory lock of the account.
    const fn lock_key(&self) -> i64 {
        first_eight_bytes(&self.0)
    }
}

const fn first_eight_bytes(bytes: &[u8; 32]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *bytes;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The key of the advisory lock of a network.
fn lock_key_of_network(network: IpNet) -> i64 {
    first_eight_bytes(TokenHash::of(format!("throttle network {network}").as_bytes()).as_bytes())
}

/// A recorded attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptId(i64);

#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// False when `KEYWARD_RATE_LIMITS` is `off`.
    pub enabled: bool,
}

diesel::define_sql_function! {
    fn pg_advisory_xact_lock(key: diesel::sql_types::BigInt);
}

fn lock(tx: &mut Tx<'_>, key: i64) -> Result<(), Error> {
    diesel::select(pg_advisory_xact_lock(key)).execute(tx.conn)?;
    Ok(())
}

impl Throttle {
    /// Records an attempt; `None` while the throttle is off. The transaction must be committed before the client can learn
    /// whether the password is correct. In it, only the deletion of the attempts may follow: all attempts from one network
    /// wait for its commit.
    ///
    /// # Errors
    /// `rate_limited` after too many failed attempts; the password must not be checked then.
    pub fn record_attempt(&self, tx: &mut Tx<'_>, key: &ThrottleKey, ip: IpAddr) -> Result<Option<AttemptId>, Error> {
        if !self.enabled {
            return Ok(None);
        }
        let network = network_of(ip);
        // Parallel attempts wait here for each other, so that each counts those before it.
        lock(tx, key.lock_key())?;
        lock(tx, lock_key_of_network(network))?;
        self.check(tx, key, ip)?;
        let id = diesel::insert_into(password_attempts::table)
            .values((
                password_attempts::throttle_key.eq(key.0.as_slice()),
                password_attempts::network.eq(network),
                password_attempts::attempted_at.eq(tx.now),
            ))
            .returning(password_attempts::id)
            .get_result(tx.conn)?;
        Ok(Some(AttemptId(id)))
    }

    /// Checks the limits without recording an attempt, before work that is useless if they are reached.
    ///
    /// # Errors
    /// `rate_limited` after too many failed attempts.
    pub fn check(&self, tx: &mut Tx<'_>, key: &ThrottleKey, ip: IpAddr) -> Result<(), Error> {
        if !self.enabled {
            return Ok(());
        }
        let network = network_of(ip);
        let on_account = || attempts().filter(password_attempts::throttle_key.eq(key.0.to_vec()));
        let from_network = password_attempts::network.eq(network);
        PER_ACCOUNT_AND_NETWORK.check(tx, on_account().filter(from_network))?;
        PER_NETWORK.check(tx, attempts().filter(from_network))?;
        if has_many_networks(tx, key)? {
            PER_ACCOUNT.check(tx, on_account())?;
        }
        Ok(())
    }

    /// Deletes one attempt, which neither failed nor succeeded.
    pub fn retract_attempt(&self, tx: &mut Tx<'_>, id: AttemptId) -> Result<(), Error> {
        diesel::delete(password_attempts::table.find(id.0)).execute(tx.conn)?;
        Ok(())
    }

    /// Deletes the attempts on an account from the network of `ip`, after a correct password.
    pub fn delete_attempts_from(&self, tx: &mut Tx<'_>, key: &ThrottleKey, ip: IpAddr) -> Result<(), Error> {
        if !self.enabled {
            return Ok(());
        }
        lock(tx, key.lock_key())?;
        let attempts = password_attempts::table
            .filter(password_attempts::throttle_key.eq(key.0.as_slice()))
            .filter(password_attempts::network.eq(network_of(ip)));
        diesel::delete(attempts).execute(tx.conn)?;
        Ok(())
    }

    /// Deletes all attempts on an account, after a password reset.
    pub fn delete_attempts(&self, tx: &mut Tx<'_>, key: &ThrottleKey) -> Result<(), Error> {
        lock(tx, key.lock_key())?;
        let attempts = password_attempts::table.filter(password_attempts::throttle_key.eq(key.0.as_slice()));
        diesel::delete(attempts).execute(tx.conn)?;
        Ok(())
    }
}

type Attempts<'a> = password_attempts::BoxedQuery<'a, Pg, Timestamptz>;

fn attempts<'a>() -> Attempts<'a> {
    password_attempts::table
        .select(password_attempts::attempted_at)
        .into_boxed()
}

impl Limit {
    /// # Errors
    /// `rate_limited` when `attempts` reach the limit.
    fn check(&self, tx: &mut Tx<'_>, attempts: Attempts<'_>) -> Result<(), Error> {
        let oldest_counted: Option<DateTime<Utc>> = attempts
            .filter(password_attempts::attempted_at.gt(tx.now - self.window))
            .order(password_attempts::attempted_at.desc())
            .offset(self.attempts - 1)
            .first(tx.conn)
            .optional()?;
        let Some(oldest) = oldest_counted else { return Ok(()) };
        let wait = (oldest + self.window - tx.now).num_seconds() + 1;
        let [attempts, window, wait] =
            [self.attempts, self.window.num_seconds(), wait].map(|n| u64::try_from(n).unwrap_or(1));
        Refused::ByPasswordThrottle.count();
        Err(Error::rate_limited("default", attempts, window, wait.max(1)))
    }
}

/// Whether the attempts on an account that [`PER_ACCOUNT`] counts come from at least [`MIN_NETWORKS`].
fn has_many_networks(tx: &mut Tx<'_>, key: &ThrottleKey) -> Result<bool, Error> {
    let networks: i64 = password_attempts::table
        .filter(password_attempts::throttle_key.eq(key.0.as_slice()))
        .filter(password_attempts::attempted_at.gt(tx.now - PER_ACCOUNT.window))
        .select(count(password_attempts::network).aggregate_distinct())
        .first(tx.conn)?;
    Ok(networks >= MIN_NETWORKS)
}

/// Attempts that no limit counts any more.
pub const SWEEP: Sweep = Sweep {
    table: "password_attempts",
    ended: "attempted_at <= $1",
    order_by: "attempted_at",
    retention: |_| Some(LONGEST_WINDOW),
    cutoff_setting: None,
};
