//! Actions that callers can repeat without limit: they are counted per account and network, and a count becomes one record.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Cidr, Inet, Text, Timestamptz, Uuid as SqlUuid};
use ipnet::IpNet;
use uuid::Uuid;

use super::action::Action;
use super::entry::Entry;
use super::model::Outcome;
use crate::auth::RefusalCount;
use crate::db::Tx;
use crate::error::Error;
use crate::values::ids::UserId;
use crate::values::network_of_site;

/// A count without another action for this long becomes a record.
const QUIET_PERIOD: TimeDelta = TimeDelta::minutes(10);
/// A count that is this old becomes a record in any case.
const MAX_PERIOD: TimeDelta = TimeDelta::hours(1);
/// The maximum number of counts that one statement turns into records.
const BATCH: i64 = 500;

struct Count {
    action: Action,
    /// Nil without an account.
    account: Uuid,
    network: IpNet,
    outcome: Outcome,
    count: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    ip: IpNet,
    request_id: String,
}

/// Counts an action of a client, in the transaction of the action. The entry's object and details aren't stored.
pub fn count(tx: &mut Tx<'_>, entry: Entry) -> Result<(), Error> {
    let (Some(ip), Some(request_id)) = (entry.ip, entry.request_id) else {
        return Err(Error::internal("an action without a client is counted"));
    };
    let count = Count {
        action: entry.action,
        account: entry.user_id.map_or_else(Uuid::nil, UserId::uuid),
        network: network_of_site(ip),
        outcome: entry.outcome,
        count: 1,
        first_at: entry.at,
        last_at: entry.at,
        ip: ip.into(),
        request_id,
    };
    add(tx, count)
}

/// Counts requests that were refused with 429.
pub fn count_refused(tx: &mut Tx<'_>, refused: &[RefusalCount]) -> Result<(), Error> {
    for requests in refused {
        let count = Count {
            action: Action::RequestRateLimited,
            account: requests.account.unwrap_or_default(),
            network: requests.network,
            outcome: Outcome::Failure,
            count: requests.count,
            first_at: requests.first_at,
            last_at: requests.last_at,
            ip: requests.ip.into(),
            request_id: requests.request_id.as_str().to_owned(),
        };
        add(tx, count)?;
    }
    Ok(())
}

fn add(tx: &mut Tx<'_>, count: Count) -> Result<(), Error> {
    diesel::sql_query(
        "INSERT INTO audit_counts AS counted (action, account, network, result, count, first_at, last_at, ip, request_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (action, account, network) DO UPDATE \
         SET count = counted.count + excluded.count, last_at = greatest(counted.last_at, excluded.last_at), \
             ip = excluded.ip, request_id = excluded.request_id",
    )
    .bind::<Text, _>(count.action)
    .bind::<SqlUuid, _>(count.account)
    .bind::<Cidr, _>(count.network)
    .bind::<Text, _>(count.outcome)
    .bind::<BigInt, _>(count.count)
    .bind::<Timestamptz, _>(count.first_at)
    .bind::<Timestamptz, _>(count.last_at)
    .bind::<Inet, _>(count.ip)
    .bind::<Text, _>(count.request_id)
    .execute(tx.conn)?;
    Ok(())
}

/// Turns the counts whose period is over into records, and returns their number; 0 when none is left. Counts that another
/// instance is turning into records, or that a request is adding to, are skipped.
pub fn close_counts(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let closed = diesel::sql_query(
        "WITH closed AS ( \
             DELETE FROM audit_counts WHERE ctid = ANY (ARRAY (SELECT ctid FROM audit_counts \
                 WHERE first_at <= $1 OR last_at <= $2 LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING *) \
         INSERT INTO audit_log (id, at, action, actor_type, object_type, object_id, object_name, user_id, result, ip, \
             request_id, details) \
         SELECT keyward_uuid_v7(last_at), last_at, action, 'anonymous', CASE WHEN account <> $4 THEN 'user' END, \
             nullif(account, $4), users.username, nullif(account, $4), result, ip, request_id, \
             jsonb_build_object('count', count, 'first_at', keyward_rfc3339(first_at), 'network', network::text) \
         FROM closed LEFT JOIN users ON users.id = account",
    )
    .bind::<Timestamptz, _>(tx.now - MAX_PERIOD)
    .bind::<Timestamptz, _>(tx.now - QUIET_PERIOD)
    .bind::<BigInt, _>(BATCH)
    .bind::<SqlUuid, _>(Uuid::nil())
    .execute(tx.conn)?;
    Ok(closed)
}
