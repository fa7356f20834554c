//! Who is streaming on this instance, and how they are woken.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::db::Tx;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::db::listener::{Event, Listener};
use crate::error::{Code, Error};
use crate::notifications::text::Words;
use crate::state::State;
use crate::values::ids::{Id as _, NotificationId, SessionId, UserId};

/// Where insertions are announced, as `<user id>:<notification id>`, or `*` for more than can be told one by one.
const CHANNELS: &[&str] = &["keyward_notifications"];
/// Streams of a person, on one instance.
const MOST_OF_A_PERSON: usize = 10;
/// Streams of all people, on one instance.
const MOST: usize = 10_000;
/// Signals that wait for a stream; who is further behind looks for itself.
const MOST_SIGNALS: usize = 64;
/// How often the sessions of all streams are looked at, in one query.
const SESSION_CHECK: Duration = Duration::from_millis(400);

/// Which of these sessions are still good; what `sessions` knows, handed in by `app`.
pub type LiveAmong = fn(&mut Tx<'_>, &[SessionId]) -> Result<Vec<SessionId>, Error>;

/// What of the notification centre lives in memory: the words, and who is streaming. Cheap to clone.
#[derive(Clone)]
pub struct Centre {
    /// The languages.
    pub(in crate::notifications) words: Arc<Words>,
    hub: Arc<Hub>,
}

struct Hub {
    state: State,
    live_among: LiveAmong,
    subscribers: Mutex<Subscribers>,
    /// Made for the first stream.
    listener: Mutex<Option<Listener>>,
}

#[derive(Default)]
struct Subscribers {
    of_person: HashMap<UserId, Vec<Subscriber>>,
    total: usize,
    next_number: u64,
}

struct Subscriber {
    number: u64,
    session_id: SessionId,
    /// Dropping it ends the stream.
    signals: Sender<Signal>,
    missed: Arc<AtomicBool>,
}

/// What wakes a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    /// This notification is new.
    New(NotificationId),
    /// There may be something new.
    Look,
    /// The client may be gone, which only shows when something is written to it.
    Probe,
}

/// A stream's place in the hub; given up when dropped.
pub(super) struct Subscription {
    hub: Arc<Hub>,
    user_id: UserId,
    number: u64,
    /// Closed when the stream has to end.
    pub signals: Receiver<Signal>,
    missed: Arc<AtomicBool>,
}

impl Subscription {
    /// Whether signals were lost since this was last asked.
    pub fn has_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.hub.subscribers();
        subscribers.retain(self.user_id, |subscriber| subscriber.number != self.number);
    }
}

impl Centre {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The built-in words are wrong.
    pub fn new(state: State, live_among: LiveAmong) -> Result<Self, Error> {
        let hub = Hub {
            state,
            live_among,
            subscribers: Mutex::default(),
            listener: Mutex::default(),
        };
        Ok(Self {
            words: Arc::new(Words::new()?),
            hub: Arc::new(hub),
        })
    }

    /// How many streams there are on this instance.
    pub fn streams(&self) -> usize {
        self.hub.subscribers().total
    }

    /// A place for a stream of this person, which ends with this session.
    ///
    /// # Errors
    /// `limit_reached` when the person has too many; `unavailable` when the instance has, or is about to stop.
    pub(super) fn subscribe(&self, user_id: UserId, session_id: SessionId) -> Result<Subscription, Error> {
        if self.hub.state.is_draining() {
            return Err(Error::new(Code::Unavailable).retry_after(1));
        }
        self.hub.start().map_err(Error::internal)?;
        let mut subscribers = self.hub.subscribers();
        if subscribers.total >= MOST {
            return Err(Error::new(Code::Unavailable).retry_after(10));
        }
        let number = subscribers.next_number;
        let (sender, signals) = channel(MOST_SIGNALS);
        let missed = Arc::new(AtomicBool::new(false));
        let own = subscribers.of_person.entry(user_id).or_default();
        // Who comes anew has often lost the stream before, whose place would else be taken until the next heartbeat.
        for subscriber in own.iter() {
            subscriber.signal(Signal::Probe);
        }
        if own.len() >= MOST_OF_A_PERSON {
            let detail = format!("There are {MOST_OF_A_PERSON} streams of this account already. Close one first.");
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
            hub: Arc::clone(&self.hub),
            user_id,
            number,
            signals,
            missed,
        })
    }
}

impl Subscribers {
    fn retain(&mut self, user_id: UserId, keep: impl FnMut(&Subscriber) -> bool) {
        if let Some(own) = self.of_person.get_mut(&user_id) {
            own.retain(keep);
            if own.is_empty() {
                self.of_person.remove(&user_id);
            }
        }
        self.count();
    }

    fn count(&mut self) {
        self.total = self.of_person.values().map(Vec::len).sum();
        #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
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

impl Hub {
    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to listen, and to watch over sessions, unless that was begun.
    fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if listener.is_some() {
            return Ok(());
        }
        let hub = Arc::downgrade(self);
        *listener = Some(self.state.db.listen(CHANNELS, move |event| {
            if let Some(hub) = hub.upgrade() {
                hub.hear(&event);
            }
        })?);
        // On the thread that outlives the workers: a worker that stops takes its tasks with it.
        let watch = watch(Arc::downgrade(self));
        match actix_web::rt::System::try_current() {
            Some(system) => drop(system.arbiter().spawn(watch)),
            None => drop(actix_web::rt::spawn(watch)),
        }
        Ok(())
    }

    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => self.tell_all_to_look(),
            Event::Disconnected | Event::Alive { .. } => {}
            Event::Notified { payload, .. } => match payload.split_once(':') {
                Some((user_id, id)) => {
                    if let (Some(user_id), Some(id)) = (UserId::parse(user_id), NotificationId::parse(id)) {
                        let subscribers = self.subscribers();
                        for subscriber in subscribers.of_person.get(&user_id).into_iter().flatten() {
                            subscriber.signal(Signal::New(id));
                        }
                    }
                }
                None => self.tell_all_to_look(),
            },
        }
    }

    fn tell_all_to_look(&self) {
        for subscriber in self.subscribers().of_person.values().flatten() {
            subscriber.signal(Signal::Look);
        }
    }

    fn sessions(&self) -> Vec<SessionId> {
        let subscribers = self.subscribers();
        let all = subscribers.of_person.values().flatten();
        all.map(|subscriber| subscriber.session_id).collect()
    }

    /// Ends every stream whose session was looked at and is not good any more.
    fn end_dead(&self, asked: &[SessionId], live: Vec<SessionId>) {
        let live: HashSet<SessionId> = live.into_iter().collect();
        let dead: HashSet<&SessionId> = asked.iter().filter(|id| !live.contains(id)).collect();
        if dead.is_empty() {
            return;
        }
        let mut subscribers = self.subscribers();
        subscribers.of_person.retain(|_, own| {
            own.retain(|subscriber| !dead.contains(&subscriber.session_id));
            !own.is_empty()
        });
        subscribers.count();
    }

    /// Ends every stream, and stops listening.
    fn close(&self) {
        let mut subscribers = self.subscribers();
        subscribers.of_person.clear();
        subscribers.count();
        drop(subscribers);
        drop(self.listener.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Ends streams as their sessions end, and all of them once the service is about to stop.
async fn watch(hub: Weak<Hub>) {
    loop {
        tokio::time::sleep(SESSION_CHECK).await;
        let Some(hub) = hub.upgrade() else { return };
        if hub.state.is_draining() {
            hub.close();
            return;
        }
        let sessions = hub.sessions();
        if sessions.is_empty() {
            continue;
        }
        let (now, live_among) = (hub.state.clock.now(), hub.live_among);
        let asked = sessions.clone();
        let live = hub.state.db.read(now, move |tx| live_among(tx, &asked));
        match live.await {
            Ok(live) => hub.end_dead(&sessions, live),
            // Without a database there is no news either, so nothing can reach who should not get it.
            Err(error) => tracing::debug!(%error, "cannot look at the sessions of streams"),
        }
    }
}
