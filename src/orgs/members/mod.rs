//! Members: who is in an organisation as what, how that changes, how a stay begins and ends.
//!
//! A stay begins by one of two doors, an invitation or a request to join; [`admit`] closes the other behind whoever comes
//! in. It ends by leaving, by removal, or with the organisation; then the person's keys there are dead for good, and what
//! they had promised to others (their invitations) is void. Only owners decide about owners and admins.
//!
//! What must never happen: that the last owner goes, whoever else goes at the same instant; that somebody keeps a power
//! that a demotion took away.

mod doors;
mod model;
mod operations;
mod routes;
mod store;

pub use doors::{admit, may_invite};
pub use model::{Person, PersonResponse, ServiceName};
pub use operations::administrators;
pub use routes::router;
