//! Threads for work that blocks: the database, password hashes, pictures. The async threads do none of it, and no kind of
//! it is done by more threads than it can use.
//!
//! Work waits in one queue and is begun in the order it came. Who finishes a piece of work takes the next one at once: to
//! put a thread to sleep and to wake it costs about as much as a short statement, and a busy crew does neither.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::observability::log;

type Work = Box<dyn FnOnce() + Send>;

/// The crew. Dropping it sends its threads away, once they have finished what they do; nobody waits for them.
pub struct BlockingPool {
    name: &'static str,
    size: usize,
    patience: Duration,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// How many there are.
    threads: usize,
    /// How many of them sleep.
    asleep: usize,
    dismissed: bool,
}

impl BlockingPool {
    /// Of at most `size` threads, so named, which are started when they are first needed. Work that is not begun within
    /// `patience` never is.
    pub fn new(name: &'static str, size: usize, patience: Duration) -> Self {
        Self {
            name,
            size,
            patience,
            shared: Arc::default(),
        }
    }

    /// Has `work` done. If the caller goes away before it is begun, it never is; what is begun is finished, whoever still
    /// waits for it, unless the program ends.
    ///
    /// # Errors
    /// `unavailable` when it was not begun in time, `internal_error` when it panicked, and what it fails with.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, mut done) = oneshot::channel();
        // Of the thread that would begin and the caller who would give up, the first one decides.
        let decided = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&decided);
        let work = log::carry_request(work);
        self.add(Box::new(move || {
            if !sender.is_closed() && !begun.swap(true, Ordering::SeqCst) {
                // Whoever asked may be gone by now.
                let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
            }
        }))?;
        let done = match tokio::time::timeout(self.patience, &mut done).await {
            Ok(done) => done,
            Err(late) if !decided.swap(true, Ordering::SeqCst) => return Err(Error::unavailable(late)),
            Err(_) => done.await,
        };
        // The panic hook has logged message and place already.
        done.map_err(Error::unavailable)?
            .map_err(|_| Error::internal("work panicked"))?
    }

    fn add(&self, work: Work) -> Result<(), Error> {
        let mut state = self.shared.lock();
        state.queue.push_back(work);
        if state.queue.len() > state.asleep && state.threads < self.size {
            match self.start_thread() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.queue.clear();
                    return Err(Error::unavailable(error));
                }
                Err(error) => tracing::warn!(%error, crew = self.name, "no further thread"),
            }
        }
        let wake = state.asleep > 0;
        drop(state);
        if wake {
            self.shared.woken.notify_one();
        }
        Ok(())
    }

    fn start_thread(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(self.name.to_owned());
        thread.spawn(move || shared.work()).map(drop)
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.shared.lock().dismissed = true;
        self.shared.woken.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.queue.pop_front() {
                drop(state);
                work();
                state = self.lock();
            } else if state.dismissed {
                return;
            } else {
                state.asleep += 1;
                state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.asleep -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn crew(size: usize, patience: Duration) -> BlockingPool {
        BlockingPool::new("test", size, patience)
    }

    #[tokio::test]
    async fn what_panics_harms_nobody_else() {
        let crew = crew(1, LONG);
        let panicked = crew.run(|| -> Result<(), Error> { panic!("on purpose") }).await;
        assert_eq!(panicked.unwrap_err().code(), crate::error::Code::InternalError);
        assert_eq!(crew.run(|| Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn all_threads_work_at_once_and_the_rest_waits_its_turn() {
        let crew = Arc::new(crew(3, LONG));
        let meeting = Arc::new(std::sync::Barrier::new(3));
        let order = Arc::new(Mutex::new(Vec::new()));
        let work: Vec<_> = (0..3)
            .map(|_| {
                let (crew, meeting) = (Arc::clone(&crew), Arc::clone(&meeting));
                tokio::spawn(async move { crew.run(move || Ok(meeting.wait())).await.map(drop) })
            })
            .collect();
        for work in work {
            work.await.unwrap().unwrap();
        }
        let alone = BlockingPool::new("test", 1, LONG);
        let turns = (0..50).map(|turn| {
            let order = Arc::clone(&order);
            alone.run(move || {
                order.lock().unwrap().push(turn);
                Ok(())
            })
        });
        futures_util::future::join_all(turns).await;
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    /// Work that says when it is begun, and ends when it is told to.
    fn held() -> (impl FnOnce() -> Result<(), Error>, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let work = move || {
            begun.send(()).unwrap();
            released.recv().map_err(Error::internal)
        };
        (work, has_begun, release)
    }

    #[tokio::test]
    async fn what_is_not_begun_in_time_never_is() {
        let crew = crew(1, Duration::from_millis(5));
        let (work, has_begun, release) = held();
        let mut busy = std::pin::pin!(crew.run(work));
        assert!(futures_util::poll!(&mut busy).is_pending());
        has_begun.recv().unwrap();
        let (tell, told) = mpsc::channel();
        let refused = crew.run(move || tell.send(()).map_err(Error::internal)).await;
        assert_eq!(refused.unwrap_err().code(), crate::error::Code::Unavailable);
        release.send(()).unwrap();
        busy.await.unwrap();
        assert!(told.recv().is_err());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let crew = crew(1, LONG);
        let (work, has_begun, release) = held();
        let mut busy = std::pin::pin!(crew.run(work));
        assert!(futures_util::poll!(&mut busy).is_pending());
        has_begun.recv().unwrap();
        let (tell, told) = mpsc::channel();
        {
            let mut dropped = std::pin::pin!(crew.run(move || tell.send(()).map_err(Error::internal)));
            assert!(futures_util::poll!(&mut dropped).is_pending());
        }
        release.send(()).unwrap();
        busy.await.unwrap();
        assert!(told.recv().is_err());
        crew.run(|| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_begun_is_finished_however_long_it_takes() {
        let patience = Duration::from_millis(5);
        let crew = crew(1, patience);
        let (work, has_begun, release) = held();
        let mut asked = std::pin::pin!(crew.run(work));
        assert!(futures_util::poll!(&mut asked).is_pending());
        has_begun.recv().unwrap();
        tokio::time::sleep(patience * 2).await;
        assert!(futures_util::poll!(&mut asked).is_pending());
        release.send(()).unwrap();
        asked.await.unwrap();
    }
}
