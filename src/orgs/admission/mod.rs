//! Admission: how a person becomes a member of an existing organisation.
//!
//! There are three endpoints: the invited person accepts an invitation by its id, or with the token from the e-mail, or an
//! admin approves a request to join. Each locks the organisation, decides the invitation or request in one UPDATE, and
//! inserts the membership. Accepting an invitation also approves a pending request to join of the same person, and
//! approving a request also accepts a pending invitation of that person, because a member needs neither.

mod operations;
mod routes;

pub use routes::router;
