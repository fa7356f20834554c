//! Deadlines, which cost next to nothing where they are not needed.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Does `work` for `time` at most; `None` when it takes longer.
///
/// No timer is set for what is done when it is asked for the second time. That is most requests that no database is needed
/// for: their bodies arrive together with their heads, but are read right after the handler was first asked.
pub async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut asked = false;
    let soon = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match soon.await {
        Some(done) => Some(done),
        None => tokio::time::timeout(time, work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn work_is_done_or_given_up() {
        let time = Duration::from_millis(20);
        assert_eq!(within(time, ready(1)).await, Some(1));
        assert_eq!(within(time, tokio::task::yield_now()).await, Some(()));
        let slow = async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            2
        };
        assert_eq!(within(Duration::from_mins(1), slow).await, Some(2));
        assert_eq!(within(time, pending::<()>()).await, None);
    }
}
