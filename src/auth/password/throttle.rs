//! The throttle of password attempts, shared by every path that checks a password.
//!
//! An attempt is recorded before the password is checked, so that parallel guesses count like sequential ones. A correct
//! password deletes the attempts on its account from its network address. Nothing locks an account for good, and its owner
//! can still log in from an address that made no attempts.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use crate::db::Tx;
use crate::db::schema::password_attempts;
use crate::error::Error;
use crate::secret::{Purpose, ServerSecret};
use crate::values::ids::UserId;

/// The maximum number of failed attempts within a period.
struct Limit {
    attempts: i64,
    window: TimeDelta,
}

/// On one account, from one network address.
const PER_ADDRESS: Limit = Limit {
    attempts: 10,
    window: TimeDelta::minutes(15),
};
/// On one account, from all addresses.
const PER_ACCOUNT: Limit = Limit {
    attempts: 100,
    window: TimeDelta::hours(1),
};

/// The key under which attempts are counted: one per account, whichever login was used, and one per login that has no
/// verified account, so that both kinds are throttled alike and a registration doesn't change the key of its address.
#[derive(Clone, Copy)]
pub struct ThrottleKey([u8; 32]);

impl ThrottleKey {
    pub fn of_user(secret: &ServerSecret, user_id: UserId) -> Self {
        Self(secret.mac(Purpose::Throttle, &[b"user", user_id.uuid().as_bytes()]))
    }

    /// The key of a login, in canonical form, that has no verified account.
    pub fn of_unknown_login(secret: &ServerSecret, login: &str) -> Self {
        Self(secret.mac(Purpose::Throttle, &[b"login", login.as_bytes()]))
    }

    /// The key of the advisory lock: the first eight bytes.
    fn lock_key(&self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
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

impl Throttle {
    /// Records an attempt; `None` while the throttle is off. The transaction must be committed before the caller learns
    /// whether the password is correct.
    ///
    /// # Errors
    /// `rate_limited` after too many failed attempts; the password must not be checked then.
    pub fn record_attempt(&self, tx: &mut Tx<'_>, key: &ThrottleKey, ip: IpAddr) -> Result<Option<AttemptId>, Error> {
        if !self.enabled {
            return Ok(None);
        }
        // Parallel attempts on one account wait here for each other, so that each counts those before it.
        diesel::select(pg_advisory_xact_lock(key.lock_key())).execute(tx.conn)?;
        let ip = IpNet::from(ip);
        check_limit(tx, key, &PER_ADDRESS, Some(ip))?;
        check_limit(tx, key, &PER_ACCOUNT, None)?;
        let id = diesel::insert_into(password_attempts::table)
            .values((
                password_attempts::throttle_key.eq(key.0.as_slice()),
                password_attempts::ip.eq(ip),
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
        check_limit(tx, key, &PER_ADDRESS, Some(IpNet::from(ip)))?;
        check_limit(tx, key, &PER_ACCOUNT, None)
    }

    /// Deletes one attempt, which neither failed nor succeeded.
    pub fn retract_attempt(&self, tx: &mut Tx<'_>, id: AttemptId) -> Result<(), Error> {
        diesel::delete(password_attempts::table.find(id.0)).execute(tx.conn)?;
        Ok(())
    }

    /// Deletes the attempts on an account from one network address, after a correct password.
    pub fn delete_attempts_from(&self, tx: &mut Tx<'_>, key: &ThrottleKey, ip: IpAddr) -> Result<(), Error> {
        if !self.enabled {
            return Ok(());
        }
        let attempts = password_attempts::table
            .filter(password_attempts::throttle_key.eq(key.0.as_slice()))
            .filter(password_attempts::ip.eq(IpNet::from(ip)));
        diesel::delete(attempts).execute(tx.conn)?;
        Ok(())
    }

    /// Deletes all attempts on an account, after a password reset.
    pub fn delete_attempts(&self, tx: &mut Tx<'_>, key: &ThrottleKey) -> Result<(), Error> {
        let attempts = password_attempts::table.filter(password_attempts::throttle_key.eq(key.0.as_slice()));
        diesel::delete(attempts).execute(tx.conn)?;
        Ok(())
    }
}

/// # Errors
/// `rate_limited` when the limit is reached, counting all addresses or only `ip`.
fn check_limit(tx: &mut Tx<'_>, key: &ThrottleKey, limit: &Limit, ip: Option<IpNet>) -> Result<(), Error> {
    let Limit { attempts, window } = *limit;
    let mut recent = password_attempts::table
        .filter(password_attempts::throttle_key.eq(key.0.as_slice()))
        .filter(password_attempts::attempted_at.gt(tx.now - window))
        .select(password_attempts::attempted_at)
        .order(password_attempts::attempted_at.desc())
        .offset(attempts - 1)
        .into_boxed();
    if let Some(ip) = ip {
        recent = recent.filter(password_attempts::ip.eq(ip));
    }
    let oldest_counted: Option<DateTime<Utc>> = recent.first(tx.conn).optional()?;
    let Some(oldest) = oldest_counted else { return Ok(()) };
    let wait = (oldest + window - tx.now).num_seconds() + 1;
    let [attempts, window, wait] = [attempts, window.num_seconds(), wait].map(|n| u64::try_from(n).unwrap_or(1));
    Err(Error::rate_limited(attempts, window, wait.max(1)))
}

/// Deletes attempts that no limit counts any more.
pub fn delete_old_attempts(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let old = password_attempts::table.filter(password_attempts::attempted_at.le(tx.now - PER_ACCOUNT.window));
    Ok(diesel::delete(old).execute(tx.conn)?)
}
