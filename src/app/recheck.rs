//! The second check of a credential, in the transaction of a change: see [`Recheck`].

use super::authenticate::{identity_of_key, identity_of_session};
use crate::api_keys;
use crate::auth::{Credential, Principal, Recheck, Rechecked};
use crate::db::{Db, Tx};
use crate::error::Error;
use crate::orgs::membership;
use crate::sessions;
use crate::state::State;
use crate::users;
use crate::values::Client;
use crate::values::ids::UserId;

impl Recheck for State {
    fn db(&self) -> &Db {
        &self.db
    }

    fn recheck(
        &self,
        tx: &mut Tx<'_>,
        principal: &Principal,
        client: &Client,
        others: Vec<UserId>,
    ) -> Result<Rechecked, Error> {
        let mut ids = others;
        ids.push(principal.user_id);
        let users = users::lock_all(tx, &ids)?;
        let password_hash = users
            .into_iter()
            .find(|user| user.id == principal.user_id)
            .and_then(|user| user.password_hash);
        if let Some(org) = principal.active_org {
            membership::lock(tx, org.org_id, principal.user_id)?;
        }
        let identity = match &principal.credential {
            Credential::Session { id, .. } => identity_of_session(sessions::look_up_again(tx, principal, *id)?),
            Credential::ApiKey { secret_hash, .. } => {
                identity_of_key(api_keys::verify_again(tx, &self.scopes, secret_hash, client.ip)?)
            }
        };
        Ok(Rechecked {
            identity,
            password_hash,
        })
    }
}
