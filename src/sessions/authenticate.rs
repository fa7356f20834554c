//! Who the bearer of an access token is, remembered for moments.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::operations;
use crate::auth::Claims;
use crate::credential_cache::CachedToken;
use crate::error::Error;
use crate::secret::TokenHash;
use crate::state::State;

/// The access token, if it is one of ours, in its time, and its session is good.
///
/// # Errors
/// When the database is needed and fails.
pub async fn look_up(state: &State, now: DateTime<Utc>, token: &str) -> Result<Option<Arc<CachedToken>>, Error> {
    let hash = TokenHash::of(token.as_bytes());
    let read_again = |claims| {
        let state = state.clone();
        async move { read(&state, hash, claims).await }
    };
    let claims = match state.credential_cache.token(&hash, read_again) {
        Some((known, true)) => return Ok(Some(known).filter(|known| is_good(state, now, known))),
        // The signature was checked before, and stays right.
        Some((known, false)) => known.claims.clone(),
        None => match state.tokens.verify(now, token) {
            Some(claims) => claims,
            None => return Ok(None),
        },
    };
    // Apart: those that are remembered are spared the room of it.
    let known = Box::pin(read(state, hash, claims)).await?;
    Ok(known.filter(|known| is_good(state, now, known)))
}

async fn read(state: &State, hash: TokenHash, claims: Claims) -> Result<Option<Arc<CachedToken>>, Error> {
    let reading = state.credential_cache.reading();
    let asked = claims.clone();
    let found = state
        .db
        .read(state.clock.now(), move |tx| operations::find_standing(tx, &asked))
        .await?;
    Ok(found.map(|standing| state.credential_cache.insert_token(hash, reading, claims, standing)))
}

fn is_good(state: &State, now: DateTime<Utc>, known: &CachedToken) -> bool {
    state.tokens.are_timely(now, &known.claims) && now < known.standing.ends_at
}
