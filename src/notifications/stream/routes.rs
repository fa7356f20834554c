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

use super::subscribers::{Centre, Signal, Subscription};
use crate::auth::{Caller, Session};
use crate::error::Error;
use crate::http::RequestInput;
use crate::notifications::model::Notification;
use crate::notifications::routes::NotificationResponse;
use crate::notifications::store;
use crate::state::State;
use crate::values::ids::{Id as _, NotificationId, UserId};

/// A silent stream says this often that it is alive; proxies cut connections that are silent for a minute or less.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What is sent at most at once, after `Last-Event-ID` or after the listening connection was lost: the newest.
const MOST_AT_ONCE: i64 = 200;
/// A notification can be committed this much later than one that was made after it, and not more: no transaction lives
/// longer. So whoever looks for what is new looks back so far.
const OVERLAP: TimeDelta = TimeDelta::seconds(30);
/// How soon a client should come back, in milliseconds.
const OPENING: &str = ": welcome\nretry: 2000\n\n";

/// Follow one's notifications live
///
/// Server-sent events: `event: notification`, `id:` the notification's id, `data:` the notification as JSON, as in the list.
/// A comment every 15 seconds shows that the stream lives. With `Last-Event-ID` it begins with what came after that
/// notification (the newest 200 at most), otherwise with what comes from now on. It ends with the session, and when the
/// service stops; come back with `Last-Event-ID` then. At most ten at a time.
#[utoipa::path(
    operation_id = "streamNotifications", tag = "Notifications", security(("session" = [])),
    params(("Last-Event-ID" = Option<NotificationId>, Header, description = "The `id` of the last event received")),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream")),
)]
#[get("/notifications/stream")]
pub async fn stream_notifications(
    caller: Caller<Session>,
    request: HttpRequest,
    input: RequestInput,
    state: web::Data<State>,
    centre: web::Data<Centre>,
) -> Result<HttpResponse, Error> {
    input.none().await?;
    let last = request
        .headers()
        .get("last-event-id")
        .and_then(|id| NotificationId::parse(id.to_str().ok()?));
    // Before the look at what there is, so that nothing falls between the two.
    let subscription = centre.subscribe(caller.user_id, caller.session_id()?)?;
    let mut feed = Feed {
        state: state.get_ref().clone(),
        centre: centre.get_ref().clone(),
        user_id: caller.user_id,
        subscription,
        sent: BTreeSet::new(),
        newest: caller.now(),
        behind: false,
        out: VecDeque::from([Bytes::from_static(OPENING.as_bytes())]),
        heartbeat: interval_at(Instant::now() + HEARTBEAT, HEARTBEAT),
    };
    feed.begin(last).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would otherwise collect events before it passes them on.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(feed.into_stream()))
}

/// What a client does not notice, but its connection does.
const COMMENT: &[u8] = b":\n\n";

/// One stream.
struct Feed {
    state: State,
    centre: Centre,
    user_id: UserId,
    subscription: Subscription,
    /// What needs no sending, as far back as anybody looks.
    sent: BTreeSet<NotificationId>,
    /// When the newest of that was made.
    newest: DateTime<Utc>,
    /// Whether a look at the database failed.
    behind: bool,
    /// What is to be sent, in order.
    out: VecDeque<Bytes>,
    heartbeat: Interval,
}

impl Feed {
    /// Sends what came after `last`, and remembers what there is already.
    async fn begin(&mut self, last: Option<NotificationId>) -> Result<(), Error> {
        let (user_id, since) = (self.user_id, self.look_back());
        let (missed, present) = self
            .state
            .db
            .read(self.state.clock.now(), move |tx| {
                let missed = match last {
                    Some(last) => store::list_since(tx, user_id, last, MOST_AT_ONCE)?,
                    None => Vec::new(),
                };
                Ok((missed, store::list_since(tx, user_id, since, MOST_AT_ONCE)?))
            })
            .await?;
        self.send(missed)?;
        for notification in present {
            self.remember(&notification);
        }
        Ok(())
    }

    fn look_back(&self) -> NotificationId {
        store::first_id(self.newest - OVERLAP).into()
    }

    fn remember(&mut self, notification: &Notification) {
        self.sent.insert(notification.id);
        self.newest = self.newest.max(notification.created_at);
    }

    fn send(&mut self, notifications: Vec<Notification>) -> Result<(), Error> {
        let now = self.state.clock.now();
        for notification in notifications {
            if self.sent.contains(&notification.id) {
                continue;
            }
            self.remember(&notification);
            let shown = NotificationResponse::of(notification, &self.centre.words, now);
            let data = serde_json::to_string(&shown).map_err(Error::internal)?;
            let event = format!("event: notification\nid: {}\ndata: {data}\n\n", shown.id);
            self.out.push_back(event.into());
        }
        self.sent = self.sent.split_off(&self.look_back());
        Ok(())
    }

    /// Fetches what the signals speak of.
    async fn fetch(&mut self, first: Option<Signal>) {
        let (mut ids, mut look) = (Vec::new(), self.behind);
        let mut next = first;
        while let Some(signal) = next {
            match signal {
                Signal::New(id) => ids.push(id),
                Signal::Look => look = true,
                Signal::Probe => self.out.push_back(Bytes::from_static(COMMENT)),
            }
            next = self.subscription.signals.try_recv().ok();
        }
        look |= self.subscription.has_missed();
        if !look && ids.is_empty() {
            return;
        }
        let (user_id, since) = (self.user_id, self.look_back());
        let found = self.state.db.read(self.state.clock.now(), move |tx| {
            if look {
                store::list_since(tx, user_id, since, MOST_AT_ONCE)
            } else {
                store::list_named(tx, user_id, &ids)
            }
        });
        let sent = match found.await {
            Ok(found) => self.send(found),
            Err(error) => Err(error),
        };
        self.behind = sent.is_err();
        if let Err(error) = sent {
            tracing::warn!(%error, "cannot fetch what to stream; it will be tried again");
        }
    }

    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if self.subscription.signals.is_closed() {
                return None;
            }
            if let Some(event) = self.out.pop_front() {
                return Some((Ok(event), self));
            }
            tokio::select! {
                signal = self.subscription.signals.recv() => self.fetch(Some(signal?)).await,
                _ = self.heartbeat.tick() => {
                    if self.behind || self.subscription.has_missed() {
                        self.behind = true;
                        self.fetch(None).await;
                    }
                    self.out.push_back(Bytes::from_static(COMMENT));
                }
            }
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures_util::stream::unfold(self, Self::next)
    }
}
