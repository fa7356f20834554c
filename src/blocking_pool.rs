//! Bounded thread pools for blocking work: database statements, hashing and judging passwords, image decoding.
//!
//! Each kind of work has its own pool, so a burst of one kind can't take the threads of another. Jobs wait in one FIFO
//! queue, and a thread that finishes a job takes the next one without sleeping in between.
//!
//! Tokio's `spawn_blocking` with a semaphore in front parks and wakes a thread for every job: with 32 callers, 10 threads
//! and jobs that wait 15 µs for a reply, a job then takes 52 µs of CPU instead of 35, and throughput falls by a quarter.
//! `GET /me` takes 53 µs of CPU in all. `spawn_blocking` with `max_blocking_threads` takes 46 µs, has no queue timeout, and
//! one limit for all kinds of work.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::observability::log;

type Job = Box<dyn FnOnce() + Send>;

/// Dropping the pool ends its threads after their current jobs; the drop itself doesn't wait for them.
pub struct BlockingPool {
    name: &'static str,
    max_threads: usize,
    max_queued: usize,
    queue_timeout: Duration,
    shared: Arc<Shared>,
    timeouts: Counter,
}

struct Shared {
    state: Mutex<State>,
    job_added: Condvar,
    queued: Gauge,
    busy: Gauge,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle_threads: usize,
    shut_down: bool,
}

impl BlockingPool {
    /// Threads are called `name` and started on demand. A job that finds `max_queued` others in the queue is refused at
    /// once; one that is still queued after `queue_timeout` is never started.
    pub fn new(name: &'static str, max_threads: usize, max_queued: usize, queue_timeout: Duration) -> Self {
        Self {
            name,
            max_threads,
            max_queued,
            queue_timeout,
            shared: Arc::new(Shared {
                state: Mutex::default(),
                job_added: Condvar::new(),
                queued: metrics::gauge!("keyward_blocking_pool_queued_jobs", "pool" => name),
                busy: metrics::gauge!("keyward_blocking_pool_busy_threads", "pool" => name),
            }),
            timeouts: metrics::counter!("keyward_blocking_pool_timeouts_total", "pool" => name),
        }
    }

    /// Runs `work` on a thread of the pool. Dropping the future cancels work that is still queued; work that has
    /// started runs to its end.
    ///
    /// # Errors
    /// `unavailable` if the queue is full or the work didn't start within the queue timeout, `internal_error` if it
    /// panicked, otherwise its own error.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, mut result) = oneshot::channel();
        // Set by the thread that starts the job or by the caller that times out, whichever is first.
        let claimed = Arc::new(AtomicBool::new(false));
        let claimed_by_thread = Arc::clone(&claimed);
        let work = log::carry_request(work);
        self.enqueue(Box::new(move || {
            if !sender.is_closed() && !claimed_by_thread.swap(true, Ordering::SeqCst) {
                // Fails only if the caller's future was dropped.
                let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
            }
        }))?;
        let result = match tokio::time::timeout(self.queue_timeout, &mut result).await {
            Ok(result) => result,
            Err(elapsed) if !claimed.swap(true, Ordering::SeqCst) => {
                self.timeouts.increment(1);
                return Err(Error::unavailable(elapsed));
            }
            Err(_) => result.await,
        };
        // The panic hook has already logged the message and location.
        result
            .map_err(Error::unavailable)?
            .map_err(|_| Error::internal("blocking work panicked"))?
    }

    fn enqueue(&self, job: Job) -> Result<(), Error> {
        let mut state = self.shared.lock();
        if state.queue.len() >= self.max_queued {
            return Err(Error::unavailable(format!(
                "the queue of the pool {} is full",
                self.name
            )));
        }
        state.queue.push_back(job);
        self.shared.queued.increment(1);
        if state.queue.len() > state.idle_threads && state.threads < self.max_threads {
            match self.start_thread() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.queue.clear();
                    self.shared.queued.set(0);
                    return Err(Error::unavailable(error));
                }
                Err(error) => tracing::warn!(%error, pool = self.name, "cannot start another thread"),
            }
        }
        let has_idle_thread = state.idle_threads > 0;
        drop(state);
        if has_idle_thread {
            self.shared.job_added.notify_one();
        }
        Ok(())
    }

    fn start_thread(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(self.name.to_owned());
        thread.spawn(move || shared.run_jobs()).map(drop)
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.shared.lock().shut_down = true;
        self.shared.job_added.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The main loop of a pool thread.
    fn run_jobs(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                self.queued.decrement(1);
                self.busy.increment(1);
                job();
                self.busy.decrement(1);
                state = self.lock();
            } else if state.shut_down {
                return;
            } else {
                state.idle_threads += 1;
                state = self.job_added.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle_threads -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc;
    use std::task::Poll;

    use super::*;
    use crate::error::Code;

    const LONG: Duration = Duration::from_mins(1);

    fn pool(max_threads: usize, queue_timeout: Duration) -> BlockingPool {
        BlockingPool::new("test", max_threads, 50, queue_timeout)
    }

    #[tokio::test]
    async fn a_panic_fails_only_its_own_job() {
        let pool = pool(1, LONG);
        let panicked = pool.run(|| -> Result<(), Error> { panic!("on purpose") }).await;
        assert_eq!(panicked.unwrap_err().code(), Code::InternalError);
        assert_eq!(pool.run(|| Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn as_many_jobs_run_at_once_as_there_are_threads() {
        let pool = pool(3, LONG);
        let barrier = Arc::new(Barrier::new(3));
        let jobs = (0..3).map(|_| {
            let barrier = Arc::clone(&barrier);
            pool.run(move || Ok(barrier.wait()))
        });
        for result in futures_util::future::join_all(jobs).await {
            result.unwrap();
        }
    }

    #[tokio::test]
    async fn jobs_start_in_the_order_they_were_queued() {
        let pool = pool(1, LONG);
        let started = Arc::new(Mutex::new(Vec::new()));
        let jobs = (0..50).map(|number| {
            let started = Arc::clone(&started);
            pool.run(move || {
                started.lock().unwrap().push(number);
                Ok(())
            })
        });
        futures_util::future::join_all(jobs).await;
        assert_eq!(*started.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    /// A job that reports its start on the receiver and returns once the sender is used.
    fn blocked_job() -> (impl FnOnce() -> Result<(), Error>, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (start, started) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let job = move || {
            start.send(()).unwrap();
            released.recv().map_err(Error::internal)
        };
        (job, started, release)
    }

    #[tokio::test]
    async fn a_job_is_refused_at_once_while_the_queue_is_full() {
        let pool = BlockingPool::new("test", 1, 1, LONG);
        let (job, started, release) = blocked_job();
        let mut running = std::pin::pin!(pool.run(job));
        assert!(futures_util::poll!(&mut running).is_pending());
        started.recv().unwrap();
        let mut queued = std::pin::pin!(pool.run(|| Ok(1)));
        assert!(futures_util::poll!(&mut queued).is_pending());
        let refused = futures_util::poll!(std::pin::pin!(pool.run(|| Ok(2))));
        assert!(matches!(refused, Poll::Ready(Err(error)) if error.code() == Code::Unavailable));
        release.send(()).unwrap();
        running.await.unwrap();
        assert_eq!(queued.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_job_that_times_out_in_the_queue_never_runs() {
        let pool = pool(1, Duration::from_millis(5));
        let (job, started, release) = blocked_job();
        let mut running = std::pin::pin!(pool.run(job));
        assert!(futures_util::poll!(&mut running).is_pending());
        started.recv().unwrap();
        let (run, has_run) = mpsc::channel();
        let timed_out = pool.run(move || run.send(()).map_err(Error::internal)).await;
        assert_eq!(timed_out.unwrap_err().code(), Code::Unavailable);
        release.send(()).unwrap();
        running.await.unwrap();
        assert!(has_run.recv().is_err());
    }

    #[tokio::test]
    async fn a_queued_job_whose_caller_is_gone_never_runs() {
        let pool = pool(1, LONG);
        let (job, started, release) = blocked_job();
        let mut running = std::pin::pin!(pool.run(job));
        assert!(futures_util::poll!(&mut running).is_pending());
        started.recv().unwrap();
        let (run, has_run) = mpsc::channel();
        {
            let mut dropped = std::pin::pin!(pool.run(move || run.send(()).map_err(Error::internal)));
            assert!(futures_util::poll!(&mut dropped).is_pending());
        }
        release.send(()).unwrap();
        running.await.unwrap();
        assert!(has_run.recv().is_err());
        pool.run(|| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn the_queue_timeout_does_not_end_a_job_that_has_started() {
        let queue_timeout = Duration::from_millis(5);
        let pool = pool(1, queue_timeout);
        let (job, started, release) = blocked_job();
        let mut running = std::pin::pin!(pool.run(job));
        assert!(futures_util::poll!(&mut running).is_pending());
        started.recv().unwrap();
        tokio::time::sleep(queue_timeout * 2).await;
        assert!(futures_util::poll!(&mut running).is_pending());
        release.send(()).unwrap();
        running.await.unwrap();
    }
}
