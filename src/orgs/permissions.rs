//! Who may do what in an organisation: the matrix role × route, written once. Handlers ask it through [`OrgCaller`], and a
//! test walks it with every kind of person.

use crate::db::Tx;

use super::store;
use crate::auth::{Caller, OrgRole};
use crate::error::{Code, Error};
use crate::orgs::membership::{self, Membership};
use crate::state::State;
use crate::values::ids::OrgId;

macro_rules! acts {
    ($($(#[$doc:meta])+ $act:ident: $role:ident, $method:literal $path:literal;)+) => {
        /// Something a member may do in an organisation, if their role is high enough.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum OrgPermission { $($(#[$doc])+ $act,)+ }

        impl OrgPermission {
            /// Every act.
            pub const ALL: &'static [Self] = &[$(Self::$act,)+];

            /// The least role that may.
            pub const fn min_role(self) -> OrgRole {
                match self { $(Self::$act => OrgRole::$role,)+ }
            }

            /// By which request it is done.
            pub const fn route(self) -> (&'static str, &'static str) {
                match self { $(Self::$act => ($method, $path),)+ }
            }
        }
    };
}

acts! {
    /// See it.
    ReadOrg: Member, "GET" "/orgs/{org_id}";
    /// Change what it says of itself.
    UpdateOrg: Admin, "PATCH" "/orgs/{org_id}";
    /// End it.
    DeleteOrg: Owner, "DELETE" "/orgs/{org_id}";
    /// Give it a logo.
    ReplaceLogo: Admin, "PUT" "/orgs/{org_id}/logo";
    /// Take its logo away.
    DeleteLogo: Admin, "DELETE" "/orgs/{org_id}/logo";
    /// Act in it with one's session.
    SwitchOrg: Member, "POST" "/orgs/{org_id}/switch";
    /// Make another its owner in one's own stead.
    TransferOrg: Owner, "POST" "/orgs/{org_id}/transfer";
    /// See who is there.
    ListMembers: Member, "GET" "/orgs/{org_id}/members";
    /// See one who is there.
    ReadMember: Member, "GET" "/orgs/{org_id}/members/{user_id}";
    /// Change a member's role and services.
    UpdateMember: Admin, "PATCH" "/orgs/{org_id}/members/{user_id}";
    /// Remove a member.
    RemoveMember: Admin, "DELETE" "/orgs/{org_id}/members/{user_id}";
    /// Leave it.
    Leave: Member, "DELETE" "/orgs/{org_id}/members/{own_id}";
    /// See which keys stop working if a member goes.
    ListMemberApiKeys: Admin, "GET" "/orgs/{org_id}/members/{user_id}/api-keys";
    /// Invite somebody.
    CreateInvitation: Admin, "POST" "/orgs/{org_id}/invitations";
    /// See who is invited.
    ListInvitations: Admin, "GET" "/orgs/{org_id}/invitations";
    /// See one invitation.
    ReadInvitation: Admin, "GET" "/orgs/{org_id}/invitations/{invitation_id}";
    /// Take an invitation back.
    RevokeInvitation: Admin, "DELETE" "/orgs/{org_id}/invitations/{invitation_id}";
    /// Mail an invitation again.
    ResendInvitation: Admin, "POST" "/orgs/{org_id}/invitations/{invitation_id}/resend";
    /// See who asks to join.
    ListJoinRequests: Admin, "GET" "/orgs/{org_id}/join-requests";
    /// Let somebody in.
    ApproveJoinRequest: Admin, "POST" "/orgs/{org_id}/join-requests/{join_request_id}/approve";
    /// Not let somebody in.
    RejectJoinRequest: Admin, "POST" "/orgs/{org_id}/join-requests/{join_request_id}/reject";
    /// See every key that acts there.
    ListOrgApiKeys: Admin, "GET" "/orgs/{org_id}/api-keys";
    /// Revoke a key that acts there.
    RevokeOrgApiKey: Admin, "DELETE" "/orgs/{org_id}/api-keys/{api_key_id}";
    /// See what was done there.
    ReadAuditLog: Admin, "GET" "/orgs/{org_id}/audit-log";
}

/// Whether `actor` may decide about the stay of somebody whose role is `other`, or give that role: only owners make and
/// unmake owners and admins, by whatever road.
pub fn may_decide_about(actor: OrgRole, other: OrgRole) -> bool {
    actor == OrgRole::Owner || (actor == OrgRole::Admin && other == OrgRole::Member)
}

/// Somebody who may do a certain act in a certain organisation. There is no other way to get one than to ask.
#[derive(Clone, Debug)]
pub struct OrgCaller {
    membership: Membership,
}

impl OrgCaller {
    /// The caller, if they may `act` in the organisation.
    ///
    /// # Errors
    /// `not_found` for who is no member, and for a key that is bound to another organisation; `forbidden_role`.
    pub fn require<P>(tx: &mut Tx<'_>, caller: &Caller<P>, org_id: OrgId, act: OrgPermission) -> Result<Self, Error> {
        if caller.is_bound_elsewhere(org_id) {
            return Err(Error::not_found());
        }
        let membership = membership::require(tx, org_id, caller.user_id)?;
        let caller = Self { membership };
        caller.permit(act)?;
        Ok(caller)
    }

    /// As [`OrgCaller::require`], with the organisation locked until the end of the transaction: of two acts that change
    /// who is there as what, one comes after the other, and each sees what the one before has done.
    ///
    /// # Errors
    /// As [`OrgCaller::require`].
    pub fn require_locked<P>(
        tx: &mut Tx<'_>,
        caller: &Caller<P>,
        org_id: OrgId,
        act: OrgPermission,
    ) -> Result<Self, Error> {
        lock(tx, org_id)?;
        Self::require(tx, caller, org_id, act)
    }

    /// As [`OrgCaller::require`], for a handler that has not read its body yet.
    ///
    /// # Errors
    /// As [`OrgCaller::require`].
    pub async fn check<P>(state: &State, caller: &Caller<P>, org_id: OrgId, act: OrgPermission) -> Result<(), Error>
    where
        Caller<P>: Clone + Send + 'static,
    {
        let (caller, caller_now) = (caller.clone(), caller.now());
        let asked = move |tx: &mut Tx<'_>| Self::require(tx, &caller, org_id, act);
        state.db.read(caller_now, asked).await.map(|_| ())
    }

    /// Whether they may do something else as well.
    ///
    /// # Errors
    /// `forbidden_role`.
    pub fn permit(&self, act: OrgPermission) -> Result<(), Error> {
        if self.role() >= act.min_role() {
            Ok(())
        } else {
            Err(Error::new(Code::ForbiddenRole))
        }
    }

    /// Whether they may decide about somebody of this role, or give it.
    ///
    /// # Errors
    /// `forbidden_role`.
    pub fn permit_about(&self, other: OrgRole) -> Result<(), Error> {
        if may_decide_about(self.role(), other) {
            Ok(())
        } else {
            Err(Error::with_detail(
                Code::ForbiddenRole,
                "Only an owner makes or unmakes owners and admins.",
            ))
        }
    }

    /// The organisation.
    pub const fn org_id(&self) -> OrgId {
        self.membership.org_id
    }

    /// What it is called.
    pub fn org_name(&self) -> &str {
        &self.membership.org_name
    }

    /// Their role there, as it is now.
    pub fn role(&self) -> OrgRole {
        self.membership.role()
    }

    /// Their stay there.
    pub const fn membership(&self) -> &Membership {
        &self.membership
    }
}

/// Holds an organisation until the end of the transaction. Whoever changes who is there as what takes this first.
///
/// # Errors
/// `not_found`.
pub fn lock(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    if store::lock(tx, org_id)? {
        Ok(())
    } else {
        Err(Error::not_found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owners_decide_about_owners_and_admins() {
        use OrgRole::{Admin, Member, Owner};
        let may = [(Owner, Owner), (Owner, Admin), (Owner, Member), (Admin, Member)];
        for actor in [Owner, Admin, Member] {
            for other in [Owner, Admin, Member] {
                assert_eq!(
                    may_decide_about(actor, other),
                    may.contains(&(actor, other)),
                    "{actor} {other}"
                );
            }
        }
    }
}
