//! `GET /notifications/stream`: new notifications as server-sent events.

mod routes;
mod subscribers;

pub use routes::router;
pub use subscribers::{FindLiveSessions, NotificationStreams};
