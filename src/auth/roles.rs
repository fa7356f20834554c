//! Roles: on the platform, and in an organisation.

use crate::http::one_of;

one_of! {
    /// A person's role on the platform.
    pub enum PlatformRole {
        /// Everybody.
        User "user",
        /// Who administrates the platform.
        Admin "admin",
    }
}

one_of! {
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
