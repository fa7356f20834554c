//! Authentication with an access token, through the credential cache.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::store::{self, SessionRow};
use crate::auth::{ActiveOrg, Claims, Credential, Principal};
use crate::credential_cache::{CachedToken, ResolvedSession, TokenLookup};
use crate::db::Tx;
use crate::error::Error;
use crate::secret::TokenHash;
use crate::state::State;
use crate::values::ids::{OrgId, SessionId, UserId};

/// The token's claims and session, if a signing key of this deployment signed it, it has not expired and its session is live.
pub async fn look_up(state: &State, now: DateTime<Utc>, token: &str) -> Result<Option<Arc<CachedToken>>, Error> {
    let hash = TokenHash::of(token.as_bytes());
    let refresh = |claims| {
        let state = state.clone();
        async move { read(&state, hash, claims).await }
    };
    let claims = match state.credential_cache.token(&hash, refresh) {
        Some(TokenLookup::Valid(token)) => return Ok(Some(token).filter(|token| is_live(now, token))),
        Some(TokenLookup::SessionStale(token)) => token.claims.clone(),
        None => match state.tokens.verify(now, token) {
            Some(claims) => claims,
            None => return Ok(None),
        },
    };
    // Boxed, so that the cache-hit path doesn't carry the large future of a database read.
    let token = Box::pin(read(state, hash, claims)).await?;
    Ok(token.filter(|token| is_live(now, token)))
}

async fn read(state: &State, hash: TokenHash, claims: Claims) -> Result<Option<Arc<CachedToken>>, Error> {
    let read_version = state.credential_cache.read_version();
    let (id, user_id, org_id) = (claims.sid, claims.sub, claims.org_id);
    let session = state
        .db
        .read(state.clock.now(), move |tx| resolve(tx, id, user_id, org_id))
        .await?;
    Ok(session.map(|session| state.credential_cache.insert_token(hash, read_version, claims, session)))
}

fn is_live(now: DateTime<Utc>, token: &CachedToken) -> bool {
    token.claims.is_current(now) && now < token.session.ends_at
}

/// Decides anew, in the transaction of a change, about a session that was accepted when the request began.
pub fn look_up_again(tx: &mut Tx<'_>, principal: &Principal, id: SessionId) -> Result<Option<Arc<Principal>>, Error> {
    let org_id = principal.active_org.map(|org| org.org_id);
    let session = resolve(tx, id, principal.user_id, org_id)?;
    Ok(session
        .filter(|session| tx.now < session.ends_at)
        .map(|session| session.principal))
}

/// The session of a token. `None` if it was ended, the user is disabled, or the user is no longer a member of the
/// organisation for which the token was issued. A session that has expired is returned: the result is cached, so each use
/// compares `ends_at` with its own time.
fn resolve(
    tx: &mut Tx<'_>,
    id: SessionId,
    user_id: UserId,
    org_id: Option<OrgId>,
) -> Result<Option<ResolvedSession>, Error> {
    let Some(row) = store::find_with_principal(tx, id, org_id)? else {
        return Ok(None);
    };
    let SessionRow {
        session, membership, ..
    } = &row;
    let is_valid = session.ended_at.is_none() && row.disabled_at.is_none() && session.user_id == user_id;
    if !is_valid || (org_id.is_some() && membership.is_none()) {
        return Ok(None);
    }
    let ends_at = session.ends_at();
    let membership_id = membership.as_ref().map(|membership| membership.id);
    Ok(Some(ResolvedSession {
        id,
        principal: Arc::new(principal(row)),
        membership_id,
        ends_at,
    }))
}

fn principal(row: SessionRow) -> Principal {
    let SessionRow {
        session,
        role,
        username,
        nickname,
        membership,
        ..
    } = row;
    Principal {
        user_id: session.user_id,
        name: username.clone().or(nickname),
        username,
        role,
        active_org: membership.as_ref().map(|membership| ActiveOrg {
            org_id: membership.org_id,
            role: membership.role,
        }),
        disabled_services: membership
            .map(|membership| membership.disabled_services)
            .unwrap_or_default(),
        credential: Credential::Session {
            id: session.id,
            authenticated_at: session.authenticated_at,
        },
    }
}
