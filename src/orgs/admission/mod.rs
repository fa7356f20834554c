//! Admission: how a person becomes a member of an existing organisation.
//!
//! There are three requests: the invited person accepts an invitation by its id, or with the token from the e-mail, or an
//! admin approves a request to join. Each locks the organisation, decides the invitation or request in one UPDATE, inserts
//! the membership, and settles the other way in: a pending request of a person who accepts an invitation is approved, and
//! the other way round.

mod operations;
mod routes;

pub use routes::router;
