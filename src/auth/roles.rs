//! Roles on the platform and in an organisation.

use crate::values::string_enum;

string_enum! {
    /// The role of a user on the platform.
    pub enum PlatformRole {
        /// The role of a new account.
        User "user",
        /// Administrates the platform.
        Admin "admin",
    }
}

string_enum! {
    /// The role of a member in an organisation. A higher role may do all that a lower one may.
    pub enum OrgRole {
        /// May use the organisation.
        Member "member",
        /// Manages members, invitations, requests to join and API keys.
        Admin "admin",
        /// May do everything. An organisation always has at least one owner.
        Owner "owner",
    }
}
