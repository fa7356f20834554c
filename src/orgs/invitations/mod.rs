//! Invitations: somebody who runs an organisation asks an address in.
//!
//! One is pending for seven days, until it is accepted, declined or taken back; each of these is a single UPDATE, which
//! decides between those who act at the same time. It is for an address, not for an account: accepting by id takes the
//! proven address, accepting by the mailed token proves the mailbox. It stands on its inviter's right: who loses that takes
//! their invitations along, at the latest when one is used.
//!
//! What must never happen: that the wrong person comes in; that somebody is given more than the inviter could give; that
//! who invites learns whether an address has an account.

mod invited_routes;
mod model;
mod operations;
mod routes;
mod store;

pub use model::{InvitationResponse, InvitationState};

use utoipa_actix_web::service_config::ServiceConfig;

/// The routes of this slice.
pub fn router(routes: &mut ServiceConfig) {
    routes::router(routes);
    invited_routes::router(routes);
}
