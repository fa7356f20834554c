//! Clients that use up connections, memory or threads.

mod client;
mod connections;
mod passwords;
mod slow;
