//! Invitations: an admin of an organisation invites an e-mail address.
//!
//! An invitation is pending for seven days, until it is accepted (in [`admission`](super::admission)), declined or revoked.
//! Each of these is one UPDATE of a pending row, so of several at the same time one succeeds. An invitation is for an
//! address, not for an account: accepting it by id needs an account with that verified address, while any account can
//! accept it with the token that only the invited mailbox received. It is revoked when its inviter leaves, may no longer
//! give its role, or has the account disabled or deleted.
//!
//! What must never happen: a person joins by the invitation of another; a role is given that the inviter could not give;
//! the inviter learns whether an address has an account.

mod model;
mod operations;
mod routes;
mod store;

pub use model::{Invitation, InvitationResponse, InvitationState};
pub use operations::{
    accept_pending, audit_entry, find, find_for_caller, mark_accepted, no_longer_pending, peek_mailed, reload,
    revoke_all_by, revoke_by,
};
pub use routes::{OwnInvitation, router};
pub use store::SWEEP;
