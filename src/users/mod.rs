//! The table of users, which only this module writes.

mod model;
mod recheck;
mod store;

pub use model::{Nickname, TimeZone, User, Username};
pub use recheck::{check_password, require_fresh};
pub use store::{
    ProfileChange, VerifiedRegistration, clear_last_org, delete_unverified, find, find_by_email_for_update,
    find_by_login, has_username, insert, insert_unverified, invalidate_password, is_resting, is_taken, list, lock,
    move_email, release_username, set_avatar, set_disabled, set_password, set_role, update_profile, verify,
};
