//! `Idempotency-Key`: a lost answer never becomes two effects.
//!
//! The answer is remembered in the transaction of the act itself, so that there is no instant at which the act is done and
//! not remembered. While that transaction runs it holds an advisory lock, by which a repetition that comes too early is
//! told so. A secret is never remembered, nor a password: of the request only a keyed MAC is kept.

use std::future::{Ready, ready};

use crate::db::Tx;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture, Shared};
use tokio::sync::oneshot;

use super::ApiResponse;
use super::request_input::{MAX_BODY_BYTES, ReadBody, read};
use crate::db::Db;
use crate::db::schema::idempotency_keys;
use crate::error::{Code, Error};
use crate::secret::{Purpose, ServerSecret, constant_time_eq};
use crate::values::Client;
use crate::values::ids::UserId;

/// How long an answer is remembered.
const MEMORY: TimeDelta = TimeDelta::hours(24);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How many other requests may come under the key of one that was answered, until its answer is repeated only behind all
/// checks of the handler: whoever knows all of a request but the password in it could find that out otherwise.
const MISMATCHES: i16 = 5;

/// Whose request it is; set by who authenticates, for sessions that ask for a memory. API keys do nothing that is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Owner(pub UserId);

/// A request that wants to be remembered.
#[derive(Clone)]
struct IdempotencyRecord {
    user_id: UserId,
    key: String,
    request_mac: [u8; 32],
    now: DateTime<Utc>,
    secret: ServerSecret,
}

/// What is remembered of a request that was answered.
#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys, check_for_backend(diesel::pg::Pg))]
struct Found {
    request_mac: Vec<u8>,
    status: i16,
    headers: serde_json::Value,
    body: Option<serde_json::Value>,
    mismatches: i16,
}

impl Found {
    fn answer(self) -> Result<ApiResponse, Error> {
        ApiResponse::remembered(self.status, self.headers, self.body)
    }
}

/// Whether a request asks for its answer to be remembered.
pub fn has_idempotency_key(request: &ServiceRequest) -> bool {
    request.method() == Method::POST && request.headers().contains_key(&IDEMPOTENCY_KEY)
}

fn replayed(answer: ApiResponse) -> HttpResponse {
    let mut response = HttpResponse::from(answer);
    let name = HeaderName::from_static("idempotency-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
    response
}

/// The name a client gave its request: one, of 1 to 255 visible ASCII characters.
fn key_of(request: &HttpRequest) -> Result<String, Error> {
    let mut keys = request.headers().get_all(&IDEMPOTENCY_KEY).map(HeaderValue::as_bytes);
    let key = keys.next().filter(|_| keys.next().is_none()).unwrap_or_default();
    if (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic) {
        Ok(String::from_utf8_lossy(key).into_owned())
    } else {
        let detail = "Send one Idempotency-Key, of 1 to 255 visible ASCII characters.";
        Err(Error::with_detail(Code::MalformedRequest, detail))
    }
}

impl IdempotencyRecord {
    fn of(request: &HttpRequest, Owner(user_id): Owner, key: String, body: &[u8]) -> Option<Self> {
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
        })
    }

    /// The answer of the same request, if it was answered before, and if it may be repeated before anything is checked.
    fn remembered_at_once(&self, tx: &mut Tx<'_>) -> Result<Option<ApiResponse>, Error> {
        // Locked, so that those who guess at once are counted one by one.
        let Some(found) = self.find(tx)?.filter(|found| found.mismatches < MISMATCHES) else {
            return Ok(None);
        };
        if constant_time_eq(&found.request_mac, &self.request_mac) {
            return found.answer().map(Some);
        }
        // That the key is in use is for the handler's transaction to say.
        diesel::update(idempotency_keys::table.find((self.user_id.uuid(), &self.key)))
            .set(idempotency_keys::mismatches.eq(found.mismatches + 1))
            .execute(tx.conn)?;
        Ok(None)
    }

    /// The answer of the same request, if it was answered before.
    fn remembered(&self, tx: &mut Tx<'_>) -> Result<Option<ApiResponse>, Error> {
        match self.find(tx)? {
            None => Ok(None),
            Some(found) if constant_time_eq(&found.request_mac, &self.request_mac) => found.answer().map(Some),
            Some(_) => Err(Error::new(Code::IdempotencyKeyReused)),
        }
    }

    /// What is remembered under the key, locked until the end of the transaction.
    fn find(&self, tx: &mut Tx<'_>) -> Result<Option<Found>, Error> {
        Ok(idempotency_keys::table
            .find((self.user_id.uuid(), &self.key))
            .filter(idempotency_keys::created_at.gt(self.now - MEMORY))
            .select(Found::as_select())
            .for_update()
            .first(tx.conn)
            .optional()?)
    }

    /// Takes the lock under which the act runs; it ends with the transaction.
    fn lock(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mac = self.secret.mac(
            Purpose::Idempotency,
            &[self.user_id.uuid().as_bytes(), self.key.as_bytes()],
        );
        let [a, b, c, d, e, f, g, h, ..] = mac;
        let lock = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let taken: bool = diesel::select(pg_try_advisory_xact_lock(lock)).get_result(tx.conn)?;
        if taken {
            Ok(())
        } else {
            Err(Error::new(Code::IdempotencyInProgress).retry_after(1))
        }
    }

    fn remember(&self, tx: &mut Tx<'_>, answer: &ApiResponse) -> Result<(), Error> {
        let (headers, body) = answer.to_remember()?;
        let values = (
            idempotency_keys::request_mac.eq(self.request_mac.as_slice()),
            idempotency_keys::status.eq(i16::try_from(answer.status.as_u16()).unwrap_or_default()),
            idempotency_keys::headers.eq(headers),
            idempotency_keys::body.eq(body),
            idempotency_keys::created_at.eq(self.now),
            idempotency_keys::mismatches.eq(0),
        );
        // One that is older than its memory may still stand there, waiting to be swept.
        diesel::insert_into(idempotency_keys::table)
            .values((
                idempotency_keys::user_id.eq(self.user_id.uuid()),
                idempotency_keys::key.eq(&self.key),
                values.clone(),
            ))
            .on_conflict((idempotency_keys::user_id, idempotency_keys::key))
            .do_update()
            .set(values)
            .execute(tx.conn)?;
        Ok(())
    }
}

diesel::define_sql_function! {
    /// PostgreSQL's own: takes the lock, or says that another transaction has it.
    fn pg_try_advisory_xact_lock(key: diesel::sql_types::BigInt) -> diesel::sql_types::Bool;
}

/// How an authenticated POST does its act: in one transaction with the memory of its answer, where that is asked for.
///
/// Stands behind the caller and the path among a handler's arguments. A request that was answered before gets its answer
/// here, whatever has changed since; whatever else there is to say of it waits for its turn.
pub struct Idempotent(Option<IdempotencyRecord>);

/// Marks the answer of a request that was answered before, which comes about as an extractor's refusal.
#[derive(Debug)]
pub(super) struct Replayed;

impl std::fmt::Display for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("answered before")
    }
}

impl FromRequest for Idempotent {
    type Error = actix_web::Error;
    type Future = Either<Ready<Result<Self, Self::Error>>, LocalBoxFuture<'static, Result<Self, Self::Error>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let owner = request.extensions().get::<Owner>().copied();
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
/// here first. It may stand before or after [`Idempotent`] among the arguments: actix creates the futures of all
/// extractors before it polls one, and drops them all at the replay.
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

async fn begin(request: HttpRequest, mut payload: Payload, owner: Owner) -> Result<Idempotent, actix_web::Error> {
    // That body or key cannot be taken is said when it is the body's turn.
    let read = read(request.headers(), &mut payload, MAX_BODY_BYTES).await;
    let taken = read.and_then(|body| key_of(&request).map(|key| (body, key)));
    let (body, key) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            request.extensions_mut().insert(ReadBody(Err(error)));
            return Ok(Idempotent(None));
        }
    };
    let missing = || Error::internal("idempotency is not configured");
    let db = request.app_data::<web::Data<Db>>().ok_or_else(missing)?;
    let ticket = IdempotencyRecord::of(&request, owner, key, &body).ok_or_else(missing)?;
    request.extensions_mut().insert(ReadBody(Ok(body)));
    let wanted = ticket.clone();
    let answer = db.transaction(ticket.now, move |tx| wanted.remembered_at_once(tx));
    match answer.await? {
        Some(answer) => Err(InternalError::from_response(Replayed, replayed(answer)).into()),
        None => Ok(Idempotent(Some(ticket))),
    }
}

impl Idempotent {
    /// Runs `act` in a transaction and answers what it says.
    ///
    /// # Errors
    /// What `act` fails with, which is not remembered; `idempotency_in_progress`, `idempotency_key_reused`.
    pub async fn transaction(
        self,
        db: &Db,
        now: DateTime<Utc>,
        act: impl FnOnce(&mut Tx<'_>) -> Result<ApiResponse, Error> + Send + 'static,
    ) -> Result<HttpResponse, Error> {
        let Some(ticket) = self.0 else {
            return db.transaction(now, act).await.map(HttpResponse::from);
        };
        db.transaction(now, move |tx| {
            ticket.lock(tx)?;
            // The one who held the lock may have finished since this request began.
            if let Some(answer) = ticket.remembered(tx)? {
                return Ok((answer, true));
            }
            let answer = act(tx)?;
            ticket.remember(tx, &answer)?;
            Ok((answer, false))
        })
        .await
        .map(|(answer, repeated)| if repeated { replayed(answer) } else { answer.into() })
    }
}

/// Forgets answers past their memory.
///
/// # Errors
/// When the database fails.
pub fn sweep(tx: &mut Tx<'_>) -> Result<usize, Error> {
    let old = idempotency_keys::table.filter(idempotency_keys::created_at.le(tx.now - MEMORY));
    Ok(diesel::delete(old).execute(tx.conn)?)
}
