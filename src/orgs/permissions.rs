//! What each role may do in an organisation. One table declares the permissions; the enum, the types in [`can`] and the
//! test of every role against every route are generated from it.

use crate::auth::OrgRole;
use crate::error::{Code, Error};

/// A permission as a type, for the signature of a handler: `OrgMember<can::Invite>`.
pub trait PermissionType: Send + 'static {
    const PERMISSION: OrgPermission;
}

macro_rules! permissions {
    ($($(#[$doc:meta])+ $name:ident: $min_role:ident, $method:literal $path:literal;)+) => {
        /// An action in an organisation that needs a role.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum OrgPermission { $($(#[$doc])+ $name,)+ }

        impl OrgPermission {
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The lowest role that has the permission.
            pub const fn min_role(self) -> OrgRole {
                match self { $(Self::$name => OrgRole::$min_role,)+ }
            }

            /// Method and path of the request that needs the permission.
            pub const fn route(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($method, $path),)+ }
            }
        }

        /// A type for each [`OrgPermission`].
        pub mod can {
            use super::{OrgPermission, PermissionType};

            $(
                $(#[$doc])+
                #[derive(Clone, Copy, Debug)]
                pub struct $name;

                impl PermissionType for $name {
                    const PERMISSION: OrgPermission = OrgPermission::$name;
                }
            )+
        }
    };
}

permissions! {
    /// Read the organisation.
    ReadOrg: Member, "GET" "/orgs/{org_id}";
    /// Change its name, slug, description or join policy.
    UpdateOrg: Admin, "PATCH" "/orgs/{org_id}";
    /// Delete it.
    DeleteOrg: Owner, "DELETE" "/orgs/{org_id}";
    /// Set its logo.
    ReplaceLogo: Admin, "PUT" "/orgs/{org_id}/logo";
    /// Remove its logo.
    DeleteLogo: Admin, "DELETE" "/orgs/{org_id}/logo";
    /// Make it the active organisation of the session.
    SwitchOrg: Member, "POST" "/orgs/{org_id}/switch";
    /// Transfer the ownership to another member.
    TransferOrg: Owner, "POST" "/orgs/{org_id}/transfer";
    /// List its members.
    ListMembers: Member, "GET" "/orgs/{org_id}/members";
    /// Read one member.
    ReadMember: Member, "GET" "/orgs/{org_id}/members/{user_id}";
    /// Change a member's role and disabled services.
    UpdateMember: Admin, "PATCH" "/orgs/{org_id}/members/{user_id}";
    /// Remove another member.
    RemoveMember: Admin, "DELETE" "/orgs/{org_id}/members/{user_id}";
    /// Leave the organisation.
    Leave: Member, "DELETE" "/orgs/{org_id}/members/{own_id}";
    /// List the API keys that stop working when a member leaves.
    ListMemberApiKeys: Admin, "GET" "/orgs/{org_id}/members/{user_id}/api-keys";
    /// Invite an e-mail address.
    Invite: Admin, "POST" "/orgs/{org_id}/invitations";
    /// List its invitations.
    ListInvitations: Admin, "GET" "/orgs/{org_id}/invitations";
    /// Read one invitation.
    ReadInvitation: Admin, "GET" "/orgs/{org_id}/invitations/{invitation_id}";
    /// Revoke an invitation.
    RevokeInvitation: Admin, "DELETE" "/orgs/{org_id}/invitations/{invitation_id}";
    /// Send an invitation again.
    ResendInvitation: Admin, "POST" "/orgs/{org_id}/invitations/{invitation_id}/resend";
    /// List the requests to join.
    ListJoinRequests: Admin, "GET" "/orgs/{org_id}/join-requests";
    /// Approve a request to join.
    ApproveJoinRequest: Admin, "POST" "/orgs/{org_id}/join-requests/{join_request_id}/approve";
    /// Reject a request to join.
    RejectJoinRequest: Admin, "POST" "/orgs/{org_id}/join-requests/{join_request_id}/reject";
    /// List the API keys that act in the organisation.
    ListOrgApiKeys: Admin, "GET" "/orgs/{org_id}/api-keys";
    /// Revoke an API key that acts in the organisation.
    RevokeOrgApiKey: Admin, "DELETE" "/orgs/{org_id}/api-keys/{api_key_id}";
    /// Read the audit log of the organisation.
    ReadAuditLog: Admin, "GET" "/orgs/{org_id}/audit-log";
}

/// Whether a member with the role `actor` may give the role `other`, or change or remove a member who has it. Only owners
/// may do so with the roles owner and admin, and admins with the role member.
pub fn has_authority_over(actor: OrgRole, other: OrgRole) -> bool {
    actor == OrgRole::Owner || (actor == OrgRole::Admin && other == OrgRole::Member)
}

/// # Errors
/// `forbidden_role` when the role is too low for the permission.
pub fn require(role: OrgRole, permission: OrgPermission) -> Result<(), Error> {
    if role >= permission.min_role() {
        Ok(())
    } else {
        Err(Error::new(Code::ForbiddenRole))
    }
}

/// # Errors
/// `forbidden_role`; see [`has_authority_over`].
pub fn require_authority_over(actor: OrgRole, other: OrgRole) -> Result<(), Error> {
    if has_authority_over(actor, other) {
        Ok(())
    } else {
        let detail = "Only an owner can give the role of owner or admin, or change or remove an owner or admin.";
        Err(Error::with_detail(Code::ForbiddenRole, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owners_have_authority_over_owners_and_admins() {
        use OrgRole::{Admin, Member, Owner};
        let allowed = [(Owner, Owner), (Owner, Admin), (Owner, Member), (Admin, Member)];
        for actor in [Owner, Admin, Member] {
            for other in [Owner, Admin, Member] {
                assert_eq!(
                    has_authority_over(actor, other),
                    allowed.contains(&(actor, other)),
                    "{actor} {other}"
                );
            }
        }
    }
}
