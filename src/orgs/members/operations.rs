//! The use cases of members: list, read, change, remove or leave, transfer the ownership, appoint an owner.

use serde_json::json;

use super::model::{Member, MemberFilter, ServiceName, check_appointment};
use super::store;
use crate::audit::{self, Action, Entry};
use crate::auth::{Admin, Caller, OrgRole, Principal, ScopeCatalog};
use crate::db::Tx;
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::notifications::{self, Event};
use crate::orgs::membership::{self, Membership, MembershipChange};
use crate::orgs::{self, OrgMember, OrgPermission, OrgView, can, invitations, join_requests};
use crate::secret::ServerSecret;
use crate::users::{self, User};
use crate::values::ids::{OrgId, UserId};
use crate::values::{Cursors, Page, PageQuery, Patch, Precondition};

/// The members of an organisation, the one that joined last first.
pub fn list(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    org_id: OrgId,
    filter: &MemberFilter,
    page: &PageQuery,
) -> Result<Page<Member>, Error> {
    let list_name = json!([org_id, filter.q, filter.role]);
    let cursors = Cursors::new(secret, format!("members {list_name}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list(tx, org_id, filter, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |member| (member.joined_at, member.person.id))
}

/// The key of a member.
#[derive(Clone, Copy)]
pub struct MemberKey {
    pub org_id: OrgId,
    pub user_id: UserId,
}

/// A member on whom the caller may use `permission`, with the caller's own membership. Removing oneself means leaving, which
/// any member may do.
///
/// # Errors
/// `not_found` if the caller or the target is not a member. `forbidden_role` comes after it, because every member may list the
/// others.
pub fn find_target(
    tx: &mut Tx<'_>,
    caller: &Principal,
    target: MemberKey,
    permission: OrgPermission,
) -> Result<(Membership, Member), Error> {
    let membership = OrgMember::<can::ReadMember>::require(tx, caller, target.org_id)?;
    let member = find(tx, target)?;
    let permission = match permission {
        OrgPermission::RemoveMember if target.user_id == caller.user_id => OrgPermission::Leave,
        _ => permission,
    };
    membership.require_permission(permission)?;
    if permission.min_role() > OrgRole::Member {
        membership.require_authority_over(member.role)?;
    }
    Ok((membership.into_membership(), member))
}

fn find(tx: &mut Tx<'_>, key: MemberKey) -> Result<Member, Error> {
    store::find(tx, key.org_id, key.user_id)?.ok_or_else(Error::not_found)
}

/// For [`Caller::locking`]: locks the organisation, if it exists, and returns its owners and the person. Whether they can act
/// decides about a change of the member, and must not change before the commit.
pub fn lock_accounts(tx: &mut Tx<'_>, MemberKey { org_id, user_id }: MemberKey) -> Result<Vec<UserId>, Error> {
    orgs::lock_if_exists(tx, org_id)?;
    let mut ids = membership::list_owner_ids(tx, org_id)?;
    ids.push(user_id);
    Ok(ids)
}

/// With the organisation locked: another owner than this one can act, and is not disabled before the commit.
fn require_another_owner(tx: &mut Tx<'_>, owner: MemberKey) -> Result<(), Error> {
    let owners = store::lock_active_owners(tx, owner.org_id)?;
    if owners.iter().any(|id| *id != owner.user_id) {
        Ok(())
    } else {
        Err(Error::new(Code::LastOwner))
    }
}

/// A request to change a member.
#[derive(Clone)]
pub struct MemberUpdate {
    pub precondition: Precondition,
    pub role: Patch<OrgRole>,
    pub disabled_services: Patch<Vec<ServiceName>>,
}

/// Checks that each service is in the catalog or already disabled for the member, so that removing a service from the catalog
/// does not make existing lists invalid.
fn check_services(catalog: &ScopeCatalog, member: &Member, services: Vec<ServiceName>) -> Result<Vec<String>, Error> {
    let is_known = |name: &str| {
        catalog.all().iter().any(|scope| scope.service == name)
            || member.disabled_services.iter().any(|disabled| disabled == name)
    };
    let errors: Vec<FieldError> = services
        .iter()
        .enumerate()
        .filter(|(_, service)| !is_known(service.as_str()))
        .map(|(index, _)| {
            Invalid::new(FieldCode::NotAllowed, "There is no such service; see GET /scopes.")
                .at(format!("#/disabled_services/{index}"))
        })
        .collect();
    if !errors.is_empty() {
        return Err(Error::validation(errors));
    }
    let mut services: Vec<String> = services.into_iter().map(ServiceName::into_string).collect();
    services.sort();
    services.dedup();
    Ok(services)
}

/// Changes a member's role and disabled services.
///
/// # Errors
/// `last_owner`; `invalid_state` when a disabled account would become an owner.
pub fn update<P>(
    tx: &mut Tx<'_>,
    catalog: &ScopeCatalog,
    caller: &Caller<P>,
    target: MemberKey,
    update: MemberUpdate,
) -> Result<Member, Error> {
    orgs::lock(tx, target.org_id)?;
    let (membership, member) = find_target(tx, caller, target, OrgPermission::UpdateMember)?;
    let role = update.role.set().filter(|new| *new != member.role);
    if let Some(role) = role {
        orgs::require_authority_over(membership.role, role)?;
    }
    let disabled_services = update
        .disabled_services
        .set()
        .map(|services| check_services(catalog, &member, services))
        .transpose()?
        .filter(|new| *new != member.disabled_services);
    update.precondition.check(member.version)?;
    if role.is_none() && disabled_services.is_none() {
        return Ok(member);
    }
    if role.is_some() && member.role == OrgRole::Owner {
        require_another_owner(tx, target)?;
    }
    if let Some(role @ OrgRole::Owner) = role {
        membership::require_can_hold(role, &users::lock(tx, target.user_id)?)?;
    }
    let mut entry = audit_entry(caller, Action::MemberChanged, target.org_id, &member);
    if let Some(role) = role {
        entry = entry.detail("role", json!({"from": member.role, "to": role}));
    }
    if let Some(services) = &disabled_services {
        entry = entry.detail(
            "disabled_services",
            json!({"from": member.disabled_services, "to": services}),
        );
    }
    let change = MembershipChange {
        role,
        disabled_services,
    };
    membership::update(tx, member.membership_id, change)?;
    if let Some(role) = role {
        entry = after_role_change(tx, &membership, &member, role, entry)?;
    }
    audit::record(tx, entry)?;
    find(tx, target)
}

fn audit_entry<P>(caller: &Caller<P>, action: Action, org_id: OrgId, member: &Member) -> Entry {
    Entry::by(caller, action).org(org_id).user(member.person.id).object(
        "user",
        member.person.id.uuid(),
        member.audit_name().map(ToOwned::to_owned),
    )
}

/// Revokes the member's invitations that exceed the new role, and notifies the member unless it was their own change.
fn after_role_change(
    tx: &mut Tx<'_>,
    membership: &Membership,
    member: &Member,
    role: OrgRole,
    entry: Entry,
) -> Result<Entry, Error> {
    let revoked = invitations::revoke_by(tx, membership.org_id, member.person.id, Some(role))?;
    if member.membership_id != membership.id {
        let event = Event::MemberRoleChanged {
            org_id: membership.org_id,
            org_name: membership.org_name.clone(),
            role,
        };
        notifications::notify(tx, member.into(), &event)?;
    }
    Ok(if revoked > 0 {
        entry.detail("invitations_revoked", revoked)
    } else {
        entry
    })
}

/// Ends the caller's own membership, or that of another member, who is notified. The API keys that are bound to it are
/// suspended for good.
pub fn remove<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    target: MemberKey,
    precondition: &Precondition,
) -> Result<(), Error> {
    let MemberKey { org_id, user_id } = target;
    let leaves = user_id == caller.user_id;
    orgs::lock(tx, org_id)?;
    let (membership, member) = find_target(tx, caller, target, OrgPermission::RemoveMember)?;
    precondition.check(member.version)?;
    if member.role == OrgRole::Owner {
        require_another_owner(tx, target)?;
    }
    membership::delete(tx, member.membership_id)?;
    let revoked = invitations::revoke_by(tx, org_id, user_id, None)?;
    let action = if leaves {
        Action::MemberLeft
    } else {
        Action::MemberRemoved
    };
    let entry = audit_entry(caller, action, org_id, &member)
        .detail("role", member.role.as_str())
        .detail("invitations_revoked", revoked);
    audit::record(tx, entry)?;
    if !leaves {
        let event = Event::MemberRemoved {
            org_id,
            org_name: membership.org_name,
        };
        notifications::notify(tx, (&member).into(), &event)?;
    }
    Ok(())
}

fn change_to(role: OrgRole) -> MembershipChange {
    MembershipChange {
        role: Some(role),
        ..MembershipChange::default()
    }
}

/// Makes another member the owner in the caller's place; the caller becomes an admin.
///
/// # Errors
/// `invalid_state` when the account of the other member is disabled.
pub fn transfer<P>(tx: &mut Tx<'_>, caller: &Caller<P>, target: MemberKey) -> Result<OrgView, Error> {
    let MemberKey { org_id, .. } = target;
    orgs::lock(tx, org_id)?;
    let (membership, new_owner) = find_target(tx, caller, target, OrgPermission::TransferOrg)?;
    membership::require_can_hold(OrgRole::Owner, &users::lock(tx, target.user_id)?)?;
    let previous_owner = store::find(tx, org_id, caller.user_id)?.ok_or_else(Error::not_found)?;
    let mut entry = audit_entry(caller, Action::OrgTransferred, org_id, &new_owner);
    if new_owner.role != OrgRole::Owner {
        membership::update(tx, new_owner.membership_id, change_to(OrgRole::Owner))?;
        entry = after_role_change(tx, &membership, &new_owner, OrgRole::Owner, entry)?;
    }
    membership::update(tx, previous_owner.membership_id, change_to(OrgRole::Admin))?;
    let entry = after_role_change(tx, &membership, &previous_owner, OrgRole::Admin, entry)?;
    audit::record(tx, entry)?;
    let membership = membership::require(tx, org_id, caller.user_id)?;
    orgs::read(tx, &membership)
}

/// Makes a person, who need not be a member, an owner of an organisation whose owners are all disabled.
///
/// # Errors
/// `not_found` for an unknown organisation or person; `invalid_state`, see [`check_appointment`].
pub fn appoint_owner(tx: &mut Tx<'_>, caller: &Caller<Admin>, new_owner: MemberKey) -> Result<Member, Error> {
    let MemberKey { org_id, user_id } = new_owner;
    orgs::lock(tx, org_id)?;
    let owner_ids = membership::list_owner_ids(tx, org_id)?;
    // One lock for all accounts: none of them is disabled or enabled before the commit.
    let locked = users::lock_all(tx, &[&owner_ids[..], &[user_id]].concat())?;
    let user = locked.iter().find(|user| user.id == user_id);
    let user = user.ok_or_else(Error::not_found)?;
    let owners: Vec<&User> = locked.iter().filter(|user| owner_ids.contains(&user.id)).collect();
    check_appointment(&owners, user)?;
    if let Some(membership) = membership::find(tx, org_id, user_id)? {
        membership::update(tx, membership.id, change_to(OrgRole::Owner))?;
    } else {
        membership::insert(tx, org_id, user_id, OrgRole::Owner)?;
        invitations::accept_pending(tx, org_id, user)?;
        join_requests::approve_pending(tx, org_id, user_id, Some(caller.user_id))?;
    }
    let event = Event::MemberRoleChanged {
        org_id,
        org_name: orgs::find_org(tx, org_id)?.name,
        role: OrgRole::Owner,
    };
    notifications::notify(tx, user.into(), &event)?;
    let member = find(tx, new_owner)?;
    audit::record(tx, audit_entry(caller, Action::OrgOwnerAppointed, org_id, &member))?;
    Ok(member)
}
