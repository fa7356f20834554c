//! The keys of the instance that served the database last. Instances that share a database need the same keys; with those of
//! another data folder an instance would accept neither the sessions nor the mailed links of the others.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Tx;
use super::schema::deployment;
use crate::error::Error;

/// What identifies the keys of an instance, without any secret.
#[derive(Clone, Debug)]
pub struct KeyIds {
    pub secret_fingerprint: String,
    /// The first signs access tokens, all verify them.
    pub signing_keys: Vec<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = deployment)]
struct Deployment {
    secret_fingerprint: String,
    signing_key_id: String,
}

impl KeyIds {
    /// A line for each difference from the instance that served last.
    pub fn differences(&self, tx: &mut Tx<'_>) -> Result<Vec<&'static str>, Error> {
        let last: Option<Deployment> = deployment::table
            .select(Deployment::as_select())
            .first(tx.conn)
            .optional()?;
        let mut differences = Vec::new();
        let Some(last) = last else { return Ok(differences) };
        if last.secret_fingerprint != self.secret_fingerprint {
            differences.push(
                "KEYWARD_SECRET_FILE: this is not the server secret with which the database was served last; mailed links, \
                 refresh tokens and cursors of the other secret are refused. All instances that share a database need the \
                 same file",
            );
        }
        // The key that signed before may verify from now on: that is how a key is replaced.
        if !self.signing_keys.contains(&last.signing_key_id) {
            differences.push(
                "KEYWARD_SIGNING_KEYS: the key that signed access tokens last is not among these keys; its access tokens are \
                 refused. All instances that share a database need the same files",
            );
        }
        Ok(differences)
    }

    /// Records these keys as those of the instance that serves the database, if they are not recorded already.
    pub fn record(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let signing_key_id = self.signing_keys.first().map_or("", String::as_str);
        let values = (
            deployment::secret_fingerprint.eq(&self.secret_fingerprint),
            deployment::signing_key_id.eq(signing_key_id),
            deployment::updated_at.eq::<DateTime<Utc>>(tx.now),
        );
        diesel::insert_into(deployment::table)
            .values((deployment::id.eq(true), values))
            .on_conflict(deployment::id)
            .do_update()
            .set(values)
            .execute(tx.conn)?;
        Ok(())
    }
}
