//! User accounts: the tables `users` and `released_usernames`. No other module writes them.
//!
//! An account is created by the first registration of its e-mail address (see `account::registration`) or by an operator.
//! It can log in once the address is verified and it has a password.

mod model;
mod recheck;
mod store;

pub use model::{Nickname, TimeZone, User, UserStatus, Username};
pub use recheck::{check_password, require_fresh};
pub use store::{
    ProfileChange, RELEASED_USERNAMES_SWEEP, UNVERIFIED_SWEEP, VerifiedRegistration, clear_last_org, delete,
    delete_unclaimed, delete_unverified, find, find_by_login, insert, insert_unverified, is_email_taken,
    is_username_reserved, is_username_taken, keep_unverified, list_admin_ids, list_all, list_hash_parameters,
    list_ids_by_last_org, lock, lock_all, lock_by_email, record_login, release_username, remove_password, set_access,
    set_avatar, set_email, set_last_org, set_password, update_profile, verify,
};
