//! `Idempotency-Key`: a lost answer never becomes two effects.
//!
//! The answer is remembered in the transaction of the act itself, so that there is no instant at which the act is done and
//! not remembered. While that transaction runs it holds an advisory lock, by which a repetition that comes too early is
//! told so. A secret is never remembered, nor a password: of the request only a keyed MAC is kept.

use std::future::{Ready, ready};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::input::{MAX_BODY_BYTES, ReadBody, read};
use super::{Answer, Client};
use crate::db::Db;
use crate::db::schema::idempotency_keys;
use crate::error::{Code, Error};
use crate::ids::UserId;
use crate::secret::{Purpose, ServerSecret, equal};

/// How long an answer is remembered.
const MEMORY: TimeDelta = TimeDelta::hours(24);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whose request it is.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The person.
    pub user_id: UserId,
    /// What tells the person's credentials apart: `session`, or the id of an API key.
    pub credential: String,
}

/// A request that wants to be remembered.
#[derive(Clone)]
struct Ticket {
    user_id: UserId,
    key: String,
    request_mac: [u8; 32],
    now: DateTime<Utc>,
    secret: ServerSecret,
}

/// The answer of a request that was answered before; the others get their ticket, if they may have one.
///
/// # Errors
/// `malformed_request` for a name that is none; as [`Input::json`](super::Input::json) for the body; `idempotency_key_reused`.
pub async fn answered_before(request: &mut ServiceRequest, owner: Owner) -> Result<Option<HttpResponse>, Error> {
    let (ticket, db) = ticket_of(request, owner).await?;
    let wanted = ticket.clone();
    let answer = db.run(move |connection| wanted.remembered(connection)).await?;
    if answer.is_none() {
        request.extensions_mut().insert(ticket);
    }
    Ok(answer.map(replayed))
}

/// Whether a request asks for its answer to be remembered.
pub fn wants_memory(request: &ServiceRequest) -> bool {
    request.method() == Method::POST && request.headers().contains_key(&IDEMPOTENCY_KEY)
}

fn replayed(answer: Answer) -> HttpResponse {
    let mut response = HttpResponse::from(answer);
    let name = HeaderName::from_static("idempotency-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
    response
}

async fn ticket_of(request: &mut ServiceRequest, owner: Owner) -> Result<(Ticket, Db), Error> {
    let key = request
        .headers()
        .get(&IDEMPOTENCY_KEY)
        .map_or(&[][..], HeaderValue::as_bytes);
    let fits = (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    let key = String::from_utf8_lossy(key).into_owned();
    if !fits {
        let detail = "Idempotency-Key must be 1 to 255 visible ASCII characters.";
        return Err(Error::with_detail(Code::MalformedRequest, detail));
    }
    let missing = || Error::internal("idempotency is not configured");
    let secret = request
        .app_data::<web::Data<ServerSecret>>()
        .ok_or_else(missing)?
        .as_ref()
        .clone();
    let db = request
        .app_data::<web::Data<Db>>()
        .ok_or_else(missing)?
        .as_ref()
        .clone();
    let now = request.extensions().get::<Client>().ok_or_else(missing)?.now;
    let headers = request.headers().clone();
    let body = read(&headers, &mut request.take_payload(), MAX_BODY_BYTES).await?;
    let user = owner.user_id.uuid();
    let parts: [&[u8]; 5] = [
        user.as_bytes(),
        owner.credential.as_bytes(),
        request.method().as_str().as_bytes(),
        request
            .uri()
            .path_and_query()
            .map_or("", |path| path.as_str())
            .as_bytes(),
        &body,
    ];
    let request_mac = secret.mac(Purpose::Idempotency, &parts);
    request.extensions_mut().insert(ReadBody(body));
    let ticket = Ticket {
        user_id: owner.user_id,
        key,
        request_mac,
        now,
        secret,
    };
    Ok((ticket, db))
}

impl Ticket {
    /// The answer of the same request, if it was answered before.
    fn remembered(&self, connection: &mut PgConnection) -> Result<Option<Answer>, Error> {
        type Row = (Vec<u8>, i16, serde_json::Value, Option<serde_json::Value>);
        let row: Option<Row> = idempotency_keys::table
            .find((self.user_id.uuid(), &self.key))
            .filter(idempotency_keys::created_at.gt(self.now - MEMORY))
            .select((
                idempotency_keys::request_mac,
                idempotency_keys::status,
                idempotency_keys::headers,
                idempotency_keys::body,
            ))
            .first(connection)
            .optional()?;
        let Some((mac, status, headers, body)) = row else {
            return Ok(None);
        };
        if !equal(&mac, &self.request_mac) {
            return Err(Error::new(Code::IdempotencyKeyReused));
        }
        Answer::remembered(status, headers, body).map(Some)
    }

    /// Takes the lock under which the act runs; it ends with the transaction.
    fn lock(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let mac = self.secret.mac(
            Purpose::Idempotency,
            &[self.user_id.uuid().as_bytes(), self.key.as_bytes()],
        );
        let [a, b, c, d, e, f, g, h, ..] = mac;
        let lock = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let taken: bool = diesel::select(pg_try_advisory_xact_lock(lock)).get_result(connection)?;
        if taken {
            Ok(())
        } else {
            Err(Error::new(Code::IdempotencyInProgress).retry_after(1))
        }
    }

    fn remember(&self, connection: &mut PgConnection, answer: &Answer) -> Result<(), Error> {
        let (headers, body) = answer.to_remember()?;
        let values = (
            idempotency_keys::request_mac.eq(self.request_mac.as_slice()),
            idempotency_keys::status.eq(i16::try_from(answer.status.as_u16()).unwrap_or_default()),
            idempotency_keys::headers.eq(headers),
            idempotency_keys::body.eq(body),
            idempotency_keys::created_at.eq(self.now),
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
            .execute(connection)?;
        Ok(())
    }
}

diesel::define_sql_function! {
    /// PostgreSQL's own: takes the lock, or says that another transaction has it.
    fn pg_try_advisory_xact_lock(key: diesel::sql_types::BigInt) -> diesel::sql_types::Bool;
}

/// How an authenticated POST does its act: in one transaction with the memory of its answer, where that is asked for.
pub struct Idempotent(Option<Ticket>);

impl FromRequest for Idempotent {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions_mut().remove::<Ticket>())))
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
        act: impl FnOnce(&mut PgConnection) -> Result<Answer, Error> + Send + 'static,
    ) -> Result<HttpResponse, Error> {
        let Some(ticket) = self.0 else {
            return db.transaction(act).await.map(HttpResponse::from);
        };
        db.transaction(move |connection| {
            ticket.lock(connection)?;
            // The one who held the lock may have finished since the middleware looked.
            if let Some(answer) = ticket.remembered(connection)? {
                return Ok((answer, true));
            }
            let answer = act(connection)?;
            ticket.remember(connection, &answer)?;
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
pub fn sweep(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, Error> {
    let old = idempotency_keys::table.filter(idempotency_keys::created_at.le(now - MEMORY));
    Ok(diesel::delete(old).execute(connection)?)
}
