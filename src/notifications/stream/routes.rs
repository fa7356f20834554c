//! `GET /notifications/stream`: server-sent events (HTML Living Standard, "Server-sent events").

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::Stream;
use tokio::time::{Instant, Interval, interval_at};
use utoipa_actix_web::service_config::ServiceConfig;

use super::subscribers::{NotificationStreams, Signal, Subscription};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::RequestInput;
use crate::notifications::model::Notification;
use crate::notifications::routes::NotificationResponse;
use crate::notifications::store;
use crate::state::State;
use crate::values::ids::{Id as _, NotificationId, UserId};

pub fn router(config: &mut ServiceConfig) {
    config.service(stream_notifications);
}

/// How often a stream sends a comment: proxies close connections that are silent for a minute or less.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// The maximum number of notifications fetched at once, the newest, after `Last-Event-ID` or a lost connection.
const MAX_FETCHED: i64 = 200;
/// A notification may be committed this much later than one with a higher id, because a transaction may last this long. A
/// fetch therefore starts this far before the newest notification that was sent.
const OVERLAP: TimeDelta = TimeDelta::seconds(30);
/// The first bytes of a stream; `retry` is the time before a client reconnects, in milliseconds.
const OPENING: &str = ": welcome\nretry: 2000\n\n";
/// A comment, which clients ignore.
const COMMENT: &[u8] = b":\n\n";

/// Stream new notifications
///
/// Returns server-sent events with `event: notification`, the notification's id as `id:`, and the notification as JSON, as
/// in the list, as `data:`. With `Last-Event-ID`, the stream begins with the notifications after that one (the newest 200
/// at most), otherwise with the next new one. A comment every 15 seconds keeps the connection open. The stream ends with
/// the session, and when the service stops: reconnect with `Last-Event-ID` then. A user can have ten open streams.
#[utoipa::path(
    operation_id = "streamNotifications", tag = "Notifications", security(("session" = [])),
    params(("Last-Event-ID" = Option<NotificationId>, Header, description = "`id` of the last event received")),
    responses((status = 200, description = "A stream of events", body = String, content_type = "text/event-stream")),
)]
#[get("/notifications/stream")]
async fn stream_notifications(
    caller: Caller<Session>,
    request: HttpRequest,
    input: RequestInput,
    state: web::Data<State>,
    streams: web::Data<NotificationStreams>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    let last = request
        .headers()
        .get("last-event-id")
        .and_then(|id| NotificationId::parse(id.to_str().ok()?));
    // Before the first fetch, so that no notification is missed between the two.
    let subscription = streams.subscribe(caller.user_id, caller.session_id()?)?;
    let mut feed = Feed {
        state: state.get_ref().clone(),
        user_id: caller.user_id,
        subscription,
        sent: BTreeSet::new(),
        newest: caller.now(),
        fetch_failed: false,
        pending: VecDeque::from([Bytes::from_static(OPENING.as_bytes())]),
        heartbeat: interval_at(Instant::now() + HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL),
    };
    feed.begin(last).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Otherwise nginx buffers events.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(feed.into_stream()))
}

/// One stream.
struct Feed {
    state: State,
    user_id: UserId,
    subscription: Subscription,
    /// The notifications of the last [`OVERLAP`] that were sent, or existed before the stream began.
    sent: BTreeSet<NotificationId>,
    /// When the newest of them was created.
    newest: DateTime<Utc>,
    /// The last fetch failed and has to be repeated.
    fetch_failed: bool,
    /// The bytes to send, in order.
    pending: VecDeque<Bytes>,
    heartbeat: Interval,
}

impl Feed {
    /// Sends the notifications after `last`, and marks existing notifications as sent.
    async fn begin(&mut self, last: Option<NotificationId>) -> Result<(), Error> {
        let (user_id, since) = (self.user_id, self.overlap_start());
        let (missed, existing) = self
            .state
            .db
            .read(self.state.clock.now(), move |tx| {
                let missed = match last {
                    Some(last) => store::list_since(tx, user_id, last, MAX_FETCHED)?,
                    None => Vec::new(),
                };
                Ok((missed, store::list_since(tx, user_id, since, MAX_FETCHED)?))
            })
            .await?;
        self.send(missed)?;
        for notification in existing {
            self.mark_sent(&notification);
        }
        Ok(())
    }

    fn overlap_start(&self) -> NotificationId {
        store::first_id(self.newest - OVERLAP)
    }

    fn mark_sent(&mut self, notification: &Notification) {
        self.sent.insert(notification.id);
        self.newest = self.newest.max(notification.created_at);
    }

    fn send(&mut self, notifications: Vec<Notification>) -> Result<(), Error> {
        let now = self.state.clock.now();
        for notification in notifications {
            if self.sent.contains(&notification.id) {
                continue;
            }
            self.mark_sent(&notification);
            let response = NotificationResponse::new(notification, &self.state.texts, now);
            let data = serde_json::to_string(&response).map_err(Error::internal)?;
            let event = format!("event: notification\nid: {}\ndata: {data}\n\n", response.id);
            self.pending.push_back(event.into());
        }
        self.sent = self.sent.split_off(&self.overlap_start());
        Ok(())
    }

    /// Handles `first` and all further signals in the queue, and fetches the notifications that they are about.
    async fn handle(&mut self, first: Option<Signal>) {
        let (mut ids, mut refetch) = (Vec::new(), self.fetch_failed);
        let mut next = first;
        while let Some(signal) = next {
            match signal {
                Signal::New(id) => ids.push(id),
                Signal::Refetch => refetch = true,
                Signal::Probe => self.pending.push_back(Bytes::from_static(COMMENT)),
            }
            next = self.subscription.signals.try_recv().ok();
        }
        refetch |= self.subscription.has_missed();
        if !refetch && ids.is_empty() {
            return;
        }
        let (user_id, since) = (self.user_id, self.overlap_start());
        let fetched = self.state.db.read(self.state.clock.now(), move |tx| {
            if refetch {
                store::list_since(tx, user_id, since, MAX_FETCHED)
            } else {
                store::list_by_id(tx, user_id, &ids)
            }
        });
        let sent = match fetched.await {
            Ok(notifications) => self.send(notifications),
            Err(error) => Err(error),
        };
        self.fetch_failed = sent.is_err();
        if let Err(error) = sent {
            tracing::warn!(%error, "cannot fetch notifications for a stream; the fetch is retried");
        }
    }

    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if self.subscription.signals.is_closed() {
                return None;
            }
            if let Some(event) = self.pending.pop_front() {
                return Some((Ok(event), self));
            }
            tokio::select! {
                signal = self.subscription.signals.recv() => self.handle(Some(signal?)).await,
                _ = self.heartbeat.tick() => {
                    if self.fetch_failed || self.subscription.has_missed() {
                        self.fetch_failed = true;
                        self.handle(None).await;
                    }
                    self.pending.push_back(Bytes::from_static(COMMENT));
                }
            }
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures_util::stream::unfold(self, Self::next)
    }
}
