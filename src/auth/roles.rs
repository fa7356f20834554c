//! Roles: on the platform, and in an organisation.

use crate::values::string_enum;

string_enum! {
    /// A person's role on the platform.
    pub enum PlatformRole {
        /// Everybody.
        User "user",
        /// Who administrates the platform.
        Admin "admin",
    }
}

string_enum! {
    /// A member's role in an organisation; a greater one may all that a lesser one may.
    pub enum OrgRole {
        /// Works there.
        Member "member",
        /// Runs it day by day: members, invitations, requests, keys.
        Admin "admin",
        /// Owns it; there is always at least one.
        Owner "owner",
    }
}
