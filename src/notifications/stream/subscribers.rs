//! The open streams of this instance, and how new notifications wake them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::db::Tx;
use crate::db::listener::{Event, Listener};
use crate::error::{Code, Error};
use crate::state::State;
use crate::values::ids::{Id as _, NotificationId, SessionId, UserId};

/// A trigger sends `<user id>:<notification id>` for each insertion, and `*` for a statement that inserts many rows.
const CHANNELS: &[&str] = &["keyward_notifications"];
/// Streams of one user on one instance.
const MAX_USER_STREAMS: usize = 10;
/// Streams of all users on one instance.
const MAX_STREAMS: usize = 10_000;
/// Length of a stream's queue of signals. When it is full, the stream fetches all new notifications.
const MAX_SIGNALS: usize = 64;
/// How often one query checks the sessions of all streams.
const SESSION_CHECK_INTERVAL: Duration = Duration::from_millis(400);

/// Returns the live ones of the given sessions. `app` passes the query of `sessions`, which this module must not import.
pub type FindLiveSessions = fn(&mut Tx<'_>, &[SessionId]) -> Result<Vec<SessionId>, Error>;

/// The open streams. Cheap to clone.
#[derive(Clone)]
pub struct NotificationStreams(Arc<Shared>);

struct Shared {
    state: State,
    find_live_sessions: FindLiveSessions,
    subscribers: Mutex<Subscribers>,
    /// Started for the first stream.
    listener: Mutex<Option<Listener>>,
}

#[derive(Default)]
struct Subscribers {
    by_user: HashMap<UserId, Vec<Subscriber>>,
    total: usize,
    next_number: u64,
}

struct Subscriber {
    number: u64,
    session_id: SessionId,
    /// The stream ends when this is dropped.
    signals: Sender<Signal>,
    missed: Arc<AtomicBool>,
}

/// Wakes a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    /// This notification is new.
    New(NotificationId),
    /// There may be new notifications.
    Refetch,
    /// Write a comment: a failed write is the only sign of a lost client.
    Probe,
}

/// Registers a stream until it is dropped.
pub(super) struct Subscription {
    streams: NotificationStreams,
    user_id: UserId,
    number: u64,
    /// Closed when the stream has to end.
    pub signals: Receiver<Signal>,
    missed: Arc<AtomicBool>,
}

impl Subscription {
    /// Whether signals were lost since the last call.
    pub fn has_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.streams.0.subscribers();
        subscribers.remove(self.user_id, self.number);
    }
}

impl NotificationStreams {
    /// Connects to nothing yet.
    pub fn new(state: State, find_live_sessions: FindLiveSessions) -> Self {
        Self(Arc::new(Shared {
            state,
            find_live_sessions,
            subscribers: Mutex::default(),
            listener: Mutex::default(),
        }))
    }

    /// Registers a stream of this user, which ends with this session.
    ///
    /// # Errors
    /// `limit_reached` when the user has too many; `unavailable` when the instance has too many or is stopping.
    pub(super) fn subscribe(&self, user_id: UserId, session_id: SessionId) -> Result<Subscription, Error> {
        if self.0.state.is_draining() {
            return Err(Error::new(Code::Unavailable).retry_after(1));
        }
        self.0.start().map_err(Error::internal)?;
        let mut subscribers = self.0.subscribers();
        if subscribers.total >= MAX_STREAMS {
            return Err(Error::new(Code::Unavailable).retry_after(10));
        }
        let number = subscribers.next_number;
        let (sender, signals) = channel(MAX_SIGNALS);
        let missed = Arc::new(AtomicBool::new(false));
        let own = subscribers.by_user.entry(user_id).or_default();
        // A client that reconnects has often lost its previous stream, which would count until its next heartbeat.
        for subscriber in own.iter() {
            subscriber.signal(Signal::Probe);
        }
        if own.len() >= MAX_USER_STREAMS {
            let detail = format!("This account has {MAX_USER_STREAMS} open streams. Close one first.");
            return Err(Error::with_detail(Code::LimitReached, detail));
        }
        own.push(Subscriber {
            number,
            session_id,
            signals: sender,
            missed: Arc::clone(&missed),
        });
        subscribers.next_number += 1;
        subscribers.count();
        drop(subscribers);
        Ok(Subscription {
            streams: self.clone(),
            user_id,
            number,
            signals,
            missed,
        })
    }
}

impl Subscribers {
    fn remove(&mut self, user_id: UserId, number: u64) {
        if let Some(own) = self.by_user.get_mut(&user_id) {
            own.retain(|subscriber| subscriber.number != number);
            if own.is_empty() {
                self.by_user.remove(&user_id);
            }
        }
        self.count();
    }

    fn count(&mut self) {
        self.total = self.by_user.values().map(Vec::len).sum();
        #[expect(clippy::cast_precision_loss, reason = "MAX_STREAMS bounds it")]
        metrics::gauge!("keyward_notification_streams").set(self.total as f64);
    }
}

impl Subscriber {
    fn signal(&self, signal: Signal) {
        if self.signals.try_send(signal).is_err() {
            self.missed.store(true, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the listener and the session check, unless they run already.
    fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if listener.is_some() {
            return Ok(());
        }
        let shared = Arc::downgrade(self);
        *listener = Some(self.state.db.listen(CHANNELS, move |event| {
            if let Some(shared) = shared.upgrade() {
                shared.on_event(&event);
            }
        })?);
        // On the thread of the system, because a worker that stops drops its tasks.
        let session_check = check_sessions(Arc::downgrade(self));
        match actix_web::rt::System::try_current() {
            Some(system) => drop(system.arbiter().spawn(session_check)),
            None => drop(actix_web::rt::spawn(session_check)),
        }
        Ok(())
    }

    fn on_event(&self, event: &Event) {
        match event {
            // Behind a pooler no notification arrives, but this event, once a minute.
            Event::Connected | Event::Pooled => self.signal_refetch(),
            Event::Disconnected | Event::Alive { .. } => {}
            Event::Notified { payload, .. } => match payload.split_once(':') {
                Some((user_id, id)) => {
                    if let (Some(user_id), Some(id)) = (UserId::parse(user_id), NotificationId::parse(id)) {
                        let subscribers = self.subscribers();
                        for subscriber in subscribers.by_user.get(&user_id).into_iter().flatten() {
                            subscriber.signal(Signal::New(id));
                        }
                    }
                }
                None => self.signal_refetch(),
            },
        }
    }

    fn signal_refetch(&self) {
        for subscriber in self.subscribers().by_user.values().flatten() {
            subscriber.signal(Signal::Refetch);
        }
    }

    fn sessions(&self) -> Vec<SessionId> {
        let subscribers = self.subscribers();
        let all = subscribers.by_user.values().flatten();
        all.map(|subscriber| subscriber.session_id).collect()
    }

    /// Ends every stream whose session is among `checked` but not `live`. A stream opened since the check is in neither.
    fn end_streams_of_ended(&self, checked: &[SessionId], live: Vec<SessionId>) {
        let live: HashSet<SessionId> = live.into_iter().collect();
        let ended: HashSet<&SessionId> = checked.iter().filter(|id| !live.contains(id)).collect();
        if ended.is_empty() {
            return;
        }
        let mut subscribers = self.subscribers();
        subscribers.by_user.retain(|_, own| {
            own.retain(|subscriber| !ended.contains(&subscriber.session_id));
            !own.is_empty()
        });
        subscribers.count();
    }

    /// Ends every stream and stops listening.
    fn close(&self) {
        let mut subscribers = self.subscribers();
        subscribers.by_user.clear();
        subscribers.count();
        drop(subscribers);
        drop(self.listener.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Ends streams whose session ended, and all streams once the service is stopping.
async fn check_sessions(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(SESSION_CHECK_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.state.is_draining() {
            shared.close();
            return;
        }
        let sessions = shared.sessions();
        if sessions.is_empty() {
            continue;
        }
        let (now, find_live_sessions) = (shared.state.clock.now(), shared.find_live_sessions);
        let checked = sessions.clone();
        let live = shared.state.db.read(now, move |tx| find_live_sessions(tx, &checked));
        match live.await {
            Ok(live) => shared.end_streams_of_ended(&sessions, live),
            // Without a database there are no new notifications either, so an ended session receives none.
            Err(error) => tracing::debug!(%error, "cannot check the sessions of streams"),
        }
    }
}
