//! Organisations, their members, and the two ways to become a member: an invitation, or a request to join.
//!
//! | module | what it does |
//! |---|---|
//! | `routes`, `logo`, `audit_log` | create, list, read, change and delete an organisation, switch a session to it |
//! | [`admission`] | accept an invitation, approve a request to join: the only ways to become a member of an existing organisation |
//! | [`members`] | list, change and remove members, leave, transfer the ownership |
//! | [`invitations`] | invite an e-mail address, list, resend, revoke, decline |
//! | [`join_requests`] | find an organisation, request to join it, list, withdraw, reject |
//! | `permissions`, `org_member`, `guard` | which role may do what, and how a handler requires it |
//! | [`membership`] | the table of memberships, which sessions and API keys read, too |
//!
//! A handler requires a permission by an argument, `OrgMember<can::Invite>`, which refuses before the body is read; the
//! transaction of a change checks it again with the organisation locked. A caller who is not a member gets the
//! same 404 as for an organisation that does not exist, unless its join policy allows requests to join.
//!
//! What must never happen: a role from a token or a body decides (the membership row does, at each request); an
//! organisation has no owner; a member becomes an owner or admin without the consent of an owner.

pub mod admission;
mod audit_log;
mod guard;
pub mod invitations;
pub mod join_requests;
mod logo;
pub mod members;
pub mod membership;
mod model;
mod operations;
mod org_member;
mod permissions;
mod person;
mod routes;
mod store;

pub use invitations::SWEEP as INVITATIONS_SWEEP;
pub use join_requests::SWEEPS as JOIN_REQUESTS_SWEEPS;
pub use model::{JoinPolicy, Org, OrgBrief, OrgView, Slug};
pub use operations::{delete_locked, find_by_slug, find_org, lock_for_deletion, read};
pub use org_member::{OrgMember, lock, lock_if_exists, locking};
pub use permissions::{OrgPermission, PermissionType, can, has_authority_over, require_authority_over};
pub use person::{Person, PersonResponse};
pub use routes::{OrgResponse, router};
