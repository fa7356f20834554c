//! The limits on e-mails that people cause to be sent to an address that need not be theirs: invitations, links to confirm a
//! change of e-mail address, resets, and notices about attempts to register an address that has an account.
//!
//! The requests are counted in `mail_requests`, so all instances share the limits. A user, an organisation or a network of
//! anonymous clients over a limit gets an error: it depends on their own requests alone. An e-mail over a limit of its recipient is dropped without an error,
//! because the response must not reveal what else is sent there; a requester has only a share of the limit of the recipient, so
//! that one stranger can't use it up.
//!
//! Links that verify a sign-up have limits of their own over all who ask, because the reader of any such link can choose the
//! password; the limit of a network counts them like the others.
//!
//! # Order of locks
//!
//! Rows of `orgs` and `users` first, then the advisory lock of the user or network, then that of the recipient ([`admit`]).

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};

use super::outbox;
use crate::db::Tx;
use crate::db::schema::mail_requests;
use crate::db::sweep::Sweep;
use crate::error::Error;
use crate::observability::refusals::Refused;
use crate::values::ids::{OrgId, UserId};
use crate::values::network_of;

/// The maximum number of requests within a period.
struct Limit {
    requests: i64,
    window: TimeDelta,
}

const fn per_hour(requests: i64) -> Limit {
    let window = TimeDelta::hours(1);
    Limit { requests, window }
}

const fn per_day(requests: i64) -> Limit {
    let window = TimeDelta::days(1);
    Limit { requests, window }
}

/// Requests of one user, to all addresses.
const PER_USER: [Limit; 2] = [per_hour(50), per_day(200)];
/// Requests of all members of one organisation.
const PER_ORG: [Limit; 2] = [per_hour(100), per_day(300)];
/// Requests of all anonymous clients in one network, to all addresses: one host must not mail thousands of strangers.
const PER_NETWORK: [Limit; 2] = [per_hour(100), per_day(300)];

/// The limits of one recipient.
struct RecipientLimits {
    /// Over all requesters.
    total: &'static [Limit],
    /// For one user, or for one network of anonymous clients.
    share: &'static [Limit],
}

/// For all kinds of e-mail together, without resets and links that verify a sign-up.
const GENERAL: RecipientLimits = RecipientLimits {
    total: &[per_hour(15), per_day(40)],
    share: &[per_hour(5), per_day(10)],
};
/// For password resets. A link works for an hour, so where the limit is reached, the mailbox has links that work.
const RESETS: RecipientLimits = RecipientLimits {
    total: &[per_hour(15)],
    share: &[per_hour(5)],
};
/// For links that verify a sign-up. Each works for a day.
const VERIFICATIONS: [Limit; 2] = [
    Limit {
        requests: 1,
        window: TimeDelta::minutes(5),
    },
    per_day(10),
];
/// No limit counts an older request.
const LONGEST_WINDOW: TimeDelta = TimeDelta::days(1);

/// Who causes an e-mail.
#[derive(Clone, Copy, Debug)]
pub enum Requester {
    /// An anonymous client, counted by its network.
    Client(IpAddr),
    User(UserId),
    /// A user who acts for an organisation.
    Member(UserId, OrgId),
}

impl Requester {
    const fn user_id(self) -> Option<UserId> {
        match self {
            Self::Client(_) => None,
            Self::User(id) | Self::Member(id, _) => Some(id),
        }
    }
}

/// Counts a request, and returns whether its e-mail may be sent.
///
/// # Errors
/// `rate_limited` when the user, the organisation or the network has reached a limit.
pub fn admit(tx: &mut Tx<'_>, requester: Requester, recipient: &str) -> Result<bool, Error> {
    admit_kind(tx, requester, recipient, false)
}

/// As [`admit`], for a password reset.
pub fn admit_reset(tx: &mut Tx<'_>, requester: Requester, recipient: &str) -> Result<bool, Error> {
    admit_kind(tx, requester, recipient, true)
}

/// Counts a request for a link that verifies a sign-up, whose recipient has other limits ([`allows_verification`]).
///
/// # Errors
/// `rate_limited` when the network has reached a limit.
pub fn count_verification(tx: &mut Tx<'_>, ip: IpAddr, recipient: &str) -> Result<(), Error> {
    if !tx.rate_limits {
        return Ok(());
    }
    let requester = Requester::Client(ip);
    require_room_of(tx, requester)?;
    insert(tx, requester, recipient, false, false)
}

fn admit_kind(tx: &mut Tx<'_>, requester: Requester, recipient: &str, is_reset: bool) -> Result<bool, Error> {
    if !tx.rate_limits {
        return Ok(true);
    }
    require_room_of(tx, requester)?;
    lock(tx, &format!("mail requests for {recipient}"))?;
    let is_admitted = has_room(tx, requester, recipient, is_reset)?;
    if !is_admitted {
        Refused::ByMailLimit.count();
    }
    // Also counted if the e-mail is dropped. The error of a requester must not reveal that, and thus what others send there.
    insert(tx, requester, recipient, is_reset, is_admitted)?;
    Ok(is_admitted)
}

/// # Errors
/// `rate_limited` when the requester has reached a limit over all recipients.
fn require_room_of(tx: &mut Tx<'_>, requester: Requester) -> Result<(), Error> {
    match requester {
        Requester::Client(ip) => {
            let network = network_of(ip);
            lock(tx, &format!("mail requests from {network}"))?;
            for limit in &PER_NETWORK {
                limit.require(tx, requests().filter(mail_requests::network.eq(network)))?;
            }
        }
        Requester::User(user_id) | Requester::Member(user_id, _) => {
            lock(tx, &format!("mail requests of {user_id}"))?;
            for limit in &PER_USER {
                limit.require(tx, requests().filter(mail_requests::user_id.eq(user_id)))?;
            }
        }
    }
    if let Requester::Member(_, org_id) = requester {
        for limit in &PER_ORG {
            limit.require(tx, requests().filter(mail_requests::org_id.eq(org_id)))?;
        }
    }
    Ok(())
}

fn has_room(tx: &mut Tx<'_>, requester: Requester, recipient: &str, is_reset: bool) -> Result<bool, Error> {
    let limits = if is_reset { &RESETS } else { &GENERAL };
    let to_recipient = || {
        requests()
            .filter(mail_requests::recipient.eq(recipient))
            .filter(mail_requests::is_reset.eq(is_reset))
            .filter(mail_requests::is_admitted)
    };
    for limit in limits.total {
        if limit.wait(tx, to_recipient())?.is_some() {
            return Ok(false);
        }
    }
    for limit in limits.share {
        let share = match requester {
            Requester::Client(ip) => to_recipient().filter(mail_requests::network.eq(network_of(ip))),
            Requester::User(id) | Requester::Member(id, _) => to_recipient().filter(mail_requests::user_id.eq(id)),
        };
        if limit.wait(tx, share)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether another link that verifies a sign-up may be mailed to `recipient`. While it may not, one that was mailed before
/// still works.
pub fn allows_verification(tx: &mut Tx<'_>, recipient: &str) -> Result<bool, Error> {
    if !tx.rate_limits {
        return Ok(true);
    }
    for Limit { requests, window } in VERIFICATIONS {
        if outbox::count_event_since(tx, recipient, "verify_email", tx.now - window)? >= requests {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets the resets that were mailed to an address, because their links were invalidated: they must not keep the owner from
/// getting another.
pub fn forget_resets(tx: &mut Tx<'_>, recipient: &str) -> Result<(), Error> {
    let resets = mail_requests::table
        .filter(mail_requests::recipient.eq(recipient))
        .filter(mail_requests::is_reset);
    diesel::delete(resets).execute(tx.conn)?;
    Ok(())
}

/// Requests that no limit counts any more.
pub const SWEEP: Sweep = Sweep {
    table: "mail_requests",
    ended: "requested_at <= $1",
    order_by: "requested_at",
    retention: |_| Some(LONGEST_WINDOW),
    cutoff_setting: None,
};

/// Makes transactions that count the same requests wait for each other, until the end of the transaction.
fn lock(tx: &mut Tx<'_>, name: &str) -> Result<(), Error> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind::<Text, _>(name)
        .execute(tx.conn)?;
    Ok(())
}

type Requests<'a> = mail_requests::BoxedQuery<'a, Pg, Timestamptz>;

fn requests<'a>() -> Requests<'a> {
    mail_requests::table.select(mail_requests::requested_at).into_boxed()
}

impl Limit {
    /// How long it takes until `requests` are below the limit; `None` if they are now.
    fn wait(&self, tx: &mut Tx<'_>, requests: Requests<'_>) -> Result<Option<TimeDelta>, Error> {
        let oldest_counted: Option<DateTime<Utc>> = requests
            .filter(mail_requests::requested_at.gt(tx.now - self.window))
            .order(mail_requests::requested_at.desc())
            .offset(self.requests - 1)
            .first(tx.conn)
            .optional()?;
        Ok(oldest_counted.map(|oldest| oldest + self.window - tx.now))
    }

    /// # Errors
    /// `rate_limited` when `requests` reach the limit.
    fn require(&self, tx: &mut Tx<'_>, requests: Requests<'_>) -> Result<(), Error> {
        let Some(wait) = self.wait(tx, requests)? else {
            return Ok(());
        };
        let [requests, window, wait] =
            [self.requests, self.window.num_seconds(), wait.num_seconds() + 1].map(|n| u64::try_from(n).unwrap_or(1));
        Refused::ByMailLimit.count();
        Err(Error::rate_limited("mail", requests, window, wait.max(1)))
    }
}

fn insert(
    tx: &mut Tx<'_>,
    requester: Requester,
    recipient: &str,
    is_reset: bool,
    is_admitted: bool,
) -> Result<(), Error> {
    let (network, org_id) = match requester {
        Requester::Client(ip) => (Some(network_of(ip)), None),
        Requester::User(_) => (None, None),
        Requester::Member(_, org_id) => (None, Some(org_id)),
    };
    diesel::insert_into(mail_requests::table)
        .values((
            mail_requests::recipient.eq(recipient),
            mail_requests::is_reset.eq(is_reset),
            mail_requests::user_id.eq(requester.user_id()),
            mail_requests::org_id.eq(org_id),
            mail_requests::network.eq(network),
            mail_requests::is_admitted.eq(is_admitted),
            mail_requests::requested_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}
