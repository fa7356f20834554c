//! `Idempotency-Key`: a client that did not get the response can repeat a request without a second effect.
//!
//! The response is stored in the transaction of the operation itself, so that both or neither are committed. The transaction
//! holds an advisory lock on the key: a repetition that arrives meanwhile gets 409 `idempotency_in_progress`. Secrets in the
//! response are not stored, and of the request only a keyed MAC is, from which no password can be recovered.

mod store;

use std::future::{Ready, ready};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture, Shared};
use tokio::sync::oneshot;

pub use self::store::SWEEP;
use self::store::{RESPONSE_RETENTION, StoredResponse};
use super::request_input::{MAX_BODY_BYTES, ReadBody, read};
use super::{ApiResponse, WriteLimit};
use crate::db::{Db, Tx};
use crate::error::{Code, Error};
use crate::observability::refusals::Refused;
use crate::secret::{Purpose, ServerSecret, constant_time_eq};
use crate::values::Client;
use crate::values::ids::UserId;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is stored for a user at a time. With more, a request is refused instead of dropping the oldest response, because a
/// repetition of that request would have a second effect. Parallel requests can exceed the limits by their number.
const MAX_RESPONSES: i64 = 1_000;
/// As [`MAX_RESPONSES`]; a response has 1 KiB, at most 16.
const MAX_RESPONSE_BYTES: i64 = 4 * 1024 * 1024;

/// A replay comes before the handler's checks, and so before the throttle for wrong passwords. An attacker who knows a request
/// except for the password in it could therefore repeat it with guesses until it is replayed. After so many requests with the
/// same key and another body, the response is replayed only after all checks of the handler.
const MAX_MISMATCHES: i16 = 5;

/// The user whose keys an `Idempotency-Key` belongs to. `app/authenticate.rs` sets it for sessions that send the header; no
/// operation for API keys supports it.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyOwner(pub UserId);

/// The key of a request and a MAC of its content, under which the response is stored.
#[derive(Clone)]
struct IdempotencyRecord {
    user_id: UserId,
    key: String,
    request_mac: [u8; 32],
    now: DateTime<Utc>,
    secret: ServerSecret,
    /// Not with `KEYWARD_RATE_LIMITS=off`.
    is_limited: bool,
}

pub fn has_idempotency_key(request: &ServiceRequest) -> bool {
    request.method() == Method::POST && request.headers().contains_key(&IDEMPOTENCY_KEY)
}

fn replayed(stored: ApiResponse) -> HttpResponse {
    let mut response = HttpResponse::from(stored);
    let name = HeaderName::from_static("idempotency-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
    response
}

fn key_of(request: &HttpRequest) -> Result<String, Error> {
    let mut keys = request.headers().get_all(&IDEMPOTENCY_KEY).map(HeaderValue::as_bytes);
    let key = keys.next().filter(|_| keys.next().is_none()).unwrap_or_default();
    if (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        Ok(String::from_utf8_lossy(key).into_owned())
    } else {
        let detail = "Send one Idempotency-Key header of 1 to 255 visible ASCII characters.";
        Err(Error::with_detail(Code::MalformedRequest, detail))
    }
}

impl IdempotencyRecord {
    fn of(
        request: &HttpRequest,
        IdempotencyOwner(user_id): IdempotencyOwner,
        key: String,
        body: &[u8],
    ) -> Option<Self> {
        let secret = request.app_data::<web::Data<ServerSecret>>()?.as_ref().clone();
        let (user, path) = (user_id.uuid(), request.uri().path_and_query());
        let parts: [&[u8]; 4] = [
            user.as_bytes(),
            request.method().as_str().as_bytes(),
            path.map_or("", |path| path.as_str()).as_bytes(),
            body,
        ];
        Some(Self {
            user_id,
            key,
            request_mac: secret.mac(Purpose::Idempotency, &parts),
            now: request.extensions().get::<Client>()?.now,
            secret,
            is_limited: request.app_data::<web::Data<WriteLimit>>()?.is_enabled(),
        })
    }

    /// The stored response of the same request, if it may be replayed before the handler's checks.
    fn find_response_early(&self, tx: &mut Tx<'_>) -> Result<Option<ApiResponse>, Error> {
        let stored = store::find(tx, self.user_id, &self.key, tx.now - RESPONSE_RETENTION)?;
        let Some(stored) = stored.filter(|stored| stored.mismatches < MAX_MISMATCHES) else {
            return Ok(None);
        };
        if constant_time_eq(&stored.request_mac, &self.request_mac) {
            return from_stored(stored).map(Some);
        }
        // `idempotency_key_reused` comes after the handler's checks, in `find_response`.
        store::set_mismatches(tx, self.user_id, &self.key, stored.mismatches + 1)?;
        Ok(None)
    }

    /// The stored response of the same request.
    ///
    /// # Errors
    /// `idempotency_key_reused` for another request.
    fn find_response(&self, tx: &mut Tx<'_>) -> Result<Option<ApiResponse>, Error> {
        match store::find(tx, self.user_id, &self.key, tx.now - RESPONSE_RETENTION)? {
            None => Ok(None),
            Some(stored) if constant_time_eq(&stored.request_mac, &self.request_mac) => from_stored(stored).map(Some),
            Some(_) => Err(Error::new(Code::IdempotencyKeyReused)),
        }
    }

    /// Locks the key until the end of the transaction.
    ///
    /// # Errors
    /// `idempotency_in_progress` while another transaction holds the lock.
    fn lock(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let user_id = self.user_id.uuid();
        let mac = self
            .secret
            .mac(Purpose::Idempotency, &[user_id.as_bytes(), self.key.as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = mac;
        if store::try_lock(tx, i64::from_be_bytes([a, b, c, d, e, f, g, h]))? {
            Ok(())
        } else {
            Err(Error::new(Code::IdempotencyInProgress).retry_after(1))
        }
    }

    /// # Errors
    /// `rate_limited` until the oldest stored response expires, if there is no room for another.
    fn require_room(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let stored = store::total(tx, self.user_id, tx.now - RESPONSE_RETENTION)?;
        let Some(oldest) = stored
            .oldest
            .filter(|_| stored.responses >= MAX_RESPONSES || stored.bytes >= MAX_RESPONSE_BYTES)
        else {
            return Ok(());
        };
        let [max, window, wait] = [
            MAX_RESPONSES,
            RESPONSE_RETENTION.num_seconds(),
            (oldest + RESPONSE_RETENTION - tx.now).num_seconds() + 1,
        ]
        .map(|number| u64::try_from(number).unwrap_or(1));
        Refused::ByIdempotencyKeys.count();
        Err(Error::rate_limited("idempotency-keys", max, window, wait))
    }

    fn store(&self, tx: &mut Tx<'_>, response: &ApiResponse) -> Result<(), Error> {
        let (headers, body) = response.to_stored()?;
        let stored = StoredResponse {
            request_mac: self.request_mac.to_vec(),
            status: i16::try_from(response.status.as_u16()).unwrap_or_default(),
            headers,
            body,
            mismatches: 0,
        };
        store::upsert(tx, self.user_id, &self.key, &stored)
    }
}

fn from_stored(stored: StoredResponse) -> Result<ApiResponse, Error> {
    ApiResponse::from_stored(stored.status, stored.headers, stored.body)
}

/// Stores the response of an authenticated POST in the transaction of its operation, if the request has an
/// `Idempotency-Key`; see `auth::Caller::idempotent_transaction`.
///
/// A handler takes it after the caller and the path. This extractor replays a stored response at once, whatever has changed since.
/// All its other errors are reported later, in their place in the order of checks.
pub struct Idempotent(Option<IdempotencyRecord>);

/// Marks a replayed response: an extractor can end a request only with an error, and this one must stay as it is.
#[derive(Debug)]
pub(super) struct Replayed;

impl std::fmt::Display for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("replayed")
    }
}

impl FromRequest for Idempotent {
    type Error = actix_web::Error;
    type Future = Either<Ready<Result<Self, Self::Error>>, LocalBoxFuture<'static, Result<Self, Self::Error>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let owner = request.extensions().get::<IdempotencyOwner>().copied();
        let Some(owner) = owner else {
            return Either::Left(ready(Ok(Self(None))));
        };
        let (found_none, look_up) = oneshot::channel();
        request.extensions_mut().insert(ReplayLookUp(look_up.shared()));
        let begin = begin(request.clone(), payload.take(), owner);
        let look_up = async move {
            let idempotent = begin.await?;
            // Fails only where no extractor waits.
            let _ = found_none.send(());
            Ok(idempotent)
        };
        Either::Right(look_up.boxed_local())
    }
}

/// The look-up of a stored response that the handler's [`Idempotent`] has begun.
struct ReplayLookUp(Shared<oneshot::Receiver<()>>);

/// Waits until it is known that no stored response will be replayed; at once in a handler without [`Idempotent`].
///
/// actix polls the extractors of a handler concurrently, and the first to fail decides the response. A replay comes before
/// the look-up of anything that may have changed since the first request, so an extractor that queries the database waits
/// here first. The order of the two arguments does not matter: actix creates the futures of all extractors
/// before it polls one, and drops them all at the replay.
pub async fn no_replay(request: &HttpRequest) {
    let look_up = request
        .extensions()
        .get::<ReplayLookUp>()
        .map(|ReplayLookUp(look_up)| look_up.clone());
    if let Some(look_up) = look_up {
        // An error means that the look-up failed; then its error is the response, and this future is dropped.
        let _ = look_up.await;
    }
}

async fn begin(
    request: HttpRequest,
    mut payload: Payload,
    owner: IdempotencyOwner,
) -> Result<Idempotent, actix_web::Error> {
    // An error of the body or the key is reported when the handler reads the body.
    let read = read(request.headers(), &mut payload, MAX_BODY_BYTES).await;
    let body_and_key = read.and_then(|body| key_of(&request).map(|key| (body, key)));
    let (body, key) = match body_and_key {
        Ok(body_and_key) => body_and_key,
        Err(error) => {
            request.extensions_mut().insert(ReadBody(Err(error)));
            return Ok(Idempotent(None));
        }
    };
    let missing = || Error::internal("the app has no Db, ServerSecret, WriteLimit or Client");
    let db = request.app_data::<web::Data<Db>>().ok_or_else(missing)?;
    let record = IdempotencyRecord::of(&request, owner, key, &body).ok_or_else(missing)?;
    request.extensions_mut().insert(ReadBody(Ok(body)));
    let early = record.clone();
    let stored = db.transaction(record.now, move |tx| early.find_response_early(tx));
    match stored.await? {
        Some(stored) => Err(InternalError::from_response(Replayed, replayed(stored)).into()),
        None => Ok(Idempotent(Some(record))),
    }
}

impl Idempotent {
    /// The part of an operation that runs in its transaction: locks the key, checks the caller with `check`, then runs
    /// `operation` unless there is a stored response.
    ///
    /// # Errors
    /// Those of `check` and `operation`, which are not stored; `idempotency_in_progress`, `idempotency_key_reused`;
    /// `rate_limited` when too many responses are stored for the user.
    pub fn run<C>(
        &self,
        tx: &mut Tx<'_>,
        check: impl FnOnce(&mut Tx<'_>) -> Result<C, Error>,
        operation: impl FnOnce(&mut Tx<'_>, &C) -> Result<ApiResponse, Error>,
    ) -> Result<MaybeReplayed, Error> {
        let Some(record) = &self.0 else {
            let caller = check(tx)?;
            return operation(tx, &caller).map(MaybeReplayed::First);
        };
        // Before the check, which may wait for the same request that is still running.
        record.lock(tx)?;
        let caller = check(tx)?;
        // The first request may have finished after the look-up in the extractor.
        if let Some(stored) = record.find_response(tx)? {
            return Ok(MaybeReplayed::Replayed(stored));
        }
        if record.is_limited {
            record.require_room(tx)?;
        }
        let response = operation(tx, &caller)?;
        record.store(tx, &response)?;
        Ok(MaybeReplayed::First(response))
    }
}

/// The response of an operation, or the one that was stored when it ran first.
pub enum MaybeReplayed {
    First(ApiResponse),
    Replayed(ApiResponse),
}

impl From<MaybeReplayed> for HttpResponse {
    fn from(response: MaybeReplayed) -> Self {
        match response {
            MaybeReplayed::First(response) => response.into(),
            MaybeReplayed::Replayed(stored) => replayed(stored),
        }
    }
}
