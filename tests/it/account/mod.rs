//! Operations of users on their own account.

mod avatar;
mod email;
mod password;
mod personal_data;
mod profile;
mod registration;
