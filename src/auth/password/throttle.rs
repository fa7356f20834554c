//! The one throttle of every path that checks a password.
//!
//! An attempt is written down before the password is looked at, so that guesses made side by side count like guesses made
//! one after the other; a right password takes the attempts of its address back. Nobody is locked out for good, and a
//! victim still gets in from an address that has not guessed.

use std::net::IpAddr;

use crate::db::Tx;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use ipnet::IpNet;

use crate::db::schema::password_attempts;
use crate::error::Error;
use crate::secret::{Purpose, ServerSecret};
use crate::values::ids::UserId;

/// Failures of one account from one address, and in what time.
const PER_ADDRESS: (i64, TimeDelta) = (10, TimeDelta::minutes(15));
/// Failures of one account from everywhere, and in what time.
const PER_ACCOUNT: (i64, TimeDelta) = (100, TimeDelta::hours(1));

/// Under which name the attempts on an account are counted: one for all its logins, and one for each login that has no
/// account, so that nobody learns which is which.
#[derive(Clone, Copy)]
pub struct ThrottleKey([u8; 32]);

impl ThrottleKey {
    /// Of a person.
    pub fn of_user(secret: &ServerSecret, user_id: UserId) -> Self {
        Self(secret.mac(Purpose::Throttle, &[b"user", user_id.uuid().as_bytes()]))
    }

    /// Of a canonical login that belongs to nobody.
    pub fn of_nobody(secret: &ServerSecret, login: &str) -> Self {
        Self(secret.mac(Purpose::Throttle, &[b"login", login.as_bytes()]))
    }

    fn lock(&self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Counts attempts, unless limits of rate are switched off.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// Whether it counts at all.
    pub enabled: bool,
}

diesel::define_sql_function! {
    /// PostgreSQL's own: waits for the lock, which ends with the transaction.
    fn pg_advisory_xact_lock(key: diesel::sql_types::BigInt);
}

impl Throttle {
    /// Writes down an attempt that is about to be made. In a transaction of its own, committed before the password is
    /// looked at.
    ///
    /// # Errors
    /// `rate_limited` when there were too many failures; then the password must not be looked at.
    pub fn admit(&self, tx: &mut Tx<'_>, account: &ThrottleKey, ip: IpAddr) -> Result<(), Error> {
        if !self.enabled {
            return Ok(());
        }
        diesel::select(pg_advisory_xact_lock(account.lock())).execute(tx.conn)?;
        let ip = IpNet::from(ip);
        let of_account = password_attempts::table.filter(password_attempts::throttle_key.eq(account.0.as_slice()));
        for ((limit, window), from_here) in [(PER_ADDRESS, true), (PER_ACCOUNT, false)] {
            let mut recent = of_account
                .filter(password_attempts::attempted_at.gt(tx.now - window))
                .select(password_attempts::attempted_at)
                .order(password_attempts::attempted_at.desc())
                .offset(limit - 1)
                .into_boxed();
            if from_here {
                recent = recent.filter(password_attempts::ip.eq(ip));
            }
            let oldest_that_counts: Option<DateTime<Utc>> = recent.first(tx.conn).optional()?;
            if let Some(oldest) = oldest_that_counts {
                let wait = (oldest + window - tx.now).num_seconds() + 1;
                let [limit, window, wait] = [limit, window.num_seconds(), wait].map(|n| u64::try_from(n).unwrap_or(1));
                return Err(Error::rate_limited(limit, window, wait.max(1)));
            }
        }
        diesel::insert_into(password_attempts::table)
            .values((
                password_attempts::throttle_key.eq(account.0.as_slice()),
                password_attempts::ip.eq(ip),
                password_attempts::attempted_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
        Ok(())
    }

    /// The password was right: the attempts from this address are forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear(&self, tx: &mut Tx<'_>, account: &ThrottleKey, ip: IpAddr) -> Result<(), Error> {
        if !self.enabled {
            return Ok(());
        }
        let attempts = password_attempts::table
            .filter(password_attempts::throttle_key.eq(account.0.as_slice()))
            .filter(password_attempts::ip.eq(IpNet::from(ip)));
        diesel::delete(attempts).execute(tx.conn)?;
        Ok(())
    }
}

impl Throttle {
    /// The account's owner has proved their mailbox and set a new password: all attempts are forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forgive(&self, tx: &mut Tx<'_>, account: &ThrottleKey) -> Result<(), Error> {
        let attempts = password_attempts::table.filter(password_attempts::throttle_key.eq(account.0.as_slice()));
        diesel::delete(attempts).execute(tx.conn)?;
        Ok(())
    }
}

/// Forgets attempts that count no more.
///
/// # Errors
/// When the database fails.
pub fn sweep(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let old = password_attempts::table.filter(password_attempts::attempted_at.le(tx.now - PER_ACCOUNT.1));
    Ok(diesel::delete(old).execute(tx.conn)?)
}
