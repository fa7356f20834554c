//! Authentication with an access token, through the credential cache.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::operations;
use crate::auth::Claims;
use crate::credential_cache::{CachedToken, TokenLookup};
use crate::error::Error;
use crate::secret::TokenHash;
use crate::state::State;

/// The token's claims and session, if the signature is ours, the token has not expired and the session is live.
pub async fn look_up(state: &State, now: DateTime<Utc>, token: &str) -> Result<Option<Arc<CachedToken>>, Error> {
    let hash = TokenHash::of(token.as_bytes());
    let refresh = |claims| {
        let state = state.clone();
        async move { read(&state, hash, claims).await }
    };
    let claims = match state.credential_cache.token(&hash, refresh) {
        Some(TokenLookup::Valid(token)) => return Ok(Some(token).filter(|token| is_live(state, now, token))),
        Some(TokenLookup::SessionStale(token)) => token.claims.clone(),
        None => match state.tokens.verify(now, token) {
            Some(claims) => claims,
            None => return Ok(None),
        },
    };
    // Boxed, so that the cache-hit path doesn't carry the large future of a database read.
    let token = Box::pin(read(state, hash, claims)).await?;
    Ok(token.filter(|token| is_live(state, now, token)))
}

async fn read(state: &State, hash: TokenHash, claims: Claims) -> Result<Option<Arc<CachedToken>>, Error> {
    let read_version = state.credential_cache.read_version();
    let claims_to_find = claims.clone();
    let found = state
        .db
        .read(state.clock.now(), move |tx| {
            operations::find_standing(tx, &claims_to_find)
        })
        .await?;
    Ok(found.map(|session| state.credential_cache.insert_token(hash, read_version, claims, session)))
}

fn is_live(state: &State, now: DateTime<Utc>, token: &CachedToken) -> bool {
    state.tokens.are_timely(now, &token.claims) && now < token.session.ends_at
}
