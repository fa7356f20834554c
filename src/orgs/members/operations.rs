//! What can be done with members.

use crate::db::Tx;
use serde_json::json;

use super::doors::void_promises;
use super::model::{Member, ServiceName};
use super::store::{self, Filter, MemberChange};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OrgRole, ScopeCatalog};
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::notifications::email::Message;
use crate::notifications::{Notice, Recipient, tell};
use crate::orgs::{self, OrgCaller, OrgPermission, OrgView};
use crate::secret::ServerSecret;
use crate::values::Patch;
use crate::values::ids::{OrgId, UserId};
use crate::values::locale::Locale;
use crate::values::{Cursors, Page, PageQuery, Precondition};

/// Which members are wanted, and which page of them.
pub struct Listing {
    pub q: Option<String>,
    pub role: Option<OrgRole>,
    pub page: PageQuery,
}

/// Who is there, the last joined first.
pub fn list(tx: &mut Tx<'_>, secret: &ServerSecret, org_id: OrgId, listing: &Listing) -> Result<Page<Member>, Error> {
    let Listing { q, role, page } = listing;
    let filter = json!([org_id, q, role]);
    let cursors = Cursors::new(secret, format!("members {filter}"));
    let after = cursors.read(page.cursor.as_deref())?;
    let filter = Filter {
        q: q.as_deref().filter(|q| !q.is_empty()),
        role: *role,
    };
    let rows = store::list(tx, org_id, &filter, after, page.limit + 1)?;
    cursors.page(rows, page.limit, |member| (member.joined_at, member.person.id))
}

/// A member whom the caller may see, and may do `act` to.
///
/// # Errors
/// `not_found` for a stranger, and for who is no member; `forbidden_role`.
pub fn target<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    (org_id, user_id): (OrgId, UserId),
    act: OrgPermission,
) -> Result<(OrgCaller, Member), Error> {
    let acting = OrgCaller::require(tx, caller, org_id, OrgPermission::ReadMember)?;
    let member = store::find(tx, org_id, user_id)?.ok_or_else(Error::not_found)?;
    acting.permit(act)?;
    if act.min_role() > OrgRole::Member {
        acting.permit_about(member.role())?;
    }
    Ok((acting, member))
}

/// Everybody who runs the organisation.
///
/// # Errors
/// When the database fails.
pub fn administrators(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<(UserId, String, Locale)>, Error> {
    let members = store::list_administrators(tx, org_id)?;
    let recipient = |member: Member| (member.person.id, member.email, Locale::stored(&member.locale));
    Ok(members.into_iter().map(recipient).collect())
}

/// With the organisation locked: whether it could do without this owner.
fn require_another_owner(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    if store::count_owners(tx, org_id)? > 1 {
        Ok(())
    } else {
        Err(Error::new(Code::LastOwner))
    }
}

/// What `PATCH /orgs/{org_id}/members/{user_id}` can change.
pub struct MemberChanges {
    pub role: Patch<OrgRole>,
    pub disabled_services: Patch<Vec<ServiceName>>,
}

/// Services that can be switched off for a member: those of the catalogue, and those that are off already.
fn switchable(catalogue: &ScopeCatalog, member: &Member, services: Vec<ServiceName>) -> Result<Vec<String>, Error> {
    let known = |name: &str| {
        catalogue.all().iter().any(|scope| scope.service == name)
            || member.disabled_services.iter().any(|disabled| disabled == name)
    };
    let refused: Vec<FieldError> = services
        .iter()
        .enumerate()
        .filter(|(_, service)| !known(service.as_str()))
        .map(|(index, _)| {
            Invalid::new(FieldCode::NotAllowed, "There is no such service; see GET /scopes.")
                .at(format!("#/disabled_services/{index}"))
        })
        .collect();
    if !refused.is_empty() {
        return Err(Error::validation(refused));
    }
    let mut services: Vec<String> = services.into_iter().map(ServiceName::into_string).collect();
    services.sort();
    services.dedup();
    Ok(services)
}

/// Changes a member's role and the services switched off for them.
pub fn update<P>(
    tx: &mut Tx<'_>,
    catalogue: &ScopeCatalog,
    caller: &Caller<P>,
    (org_id, user_id): (OrgId, UserId),
    (precondition, changes): (&Precondition, MemberChanges),
) -> Result<Member, Error> {
    orgs::lock(tx, org_id)?;
    let (acting, member) = target(tx, caller, (org_id, user_id), OrgPermission::UpdateMember)?;
    let role = changes.role.set().filter(|new| *new != member.role());
    if let Some(role) = role {
        acting.permit_about(role)?;
    }
    let disabled_services = changes
        .disabled_services
        .set()
        .map(|services| switchable(catalogue, &member, services))
        .transpose()?
        .filter(|new| *new != member.disabled_services);
    precondition.check(member.version)?;
    if role.is_none() && disabled_services.is_none() {
        return Ok(member);
    }
    if role.is_some() && member.role() == OrgRole::Owner {
        require_another_owner(tx, org_id)?;
    }
    let mut entry = about(caller, Action::MemberChanged, org_id, &member);
    if let Some(role) = role {
        entry = entry.detail("role", json!({"from": member.role(), "to": role}));
    }
    if let Some(services) = &disabled_services {
        entry = entry.detail(
            "disabled_services",
            json!({"from": member.disabled_services, "to": services}),
        );
    }
    let change = MemberChange {
        role: role.map(OrgRole::as_str),
        disabled_services,
    };
    store::update(tx, member.membership_id, change)?;
    if let Some(role) = role {
        entry = role_changed(tx, caller, &acting, &member, role, entry)?;
    }
    audit::record(tx, entry)?;
    store::find(tx, org_id, user_id)?.ok_or_else(Error::not_found)
}

fn about<P>(caller: &Caller<P>, action: Action, org_id: OrgId, member: &Member) -> Entry {
    Entry::by(caller, action).org(org_id).user(member.person.id).object(
        "user",
        member.person.id.uuid(),
        member.name().to_owned(),
    )
}

/// What follows from another role: promises that it does not cover are void, and the person is told.
fn role_changed<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    acting: &OrgCaller,
    member: &Member,
    role: OrgRole,
    entry: Entry,
) -> Result<Entry, Error> {
    let void = void_promises(tx, acting.org_id(), member.person.id, Some(role))?;
    if member.person.id != caller.user_id {
        let notice = Notice::MemberRoleChanged {
            org_id: acting.org_id(),
            org_name: acting.org_name().to_owned(),
            role,
        };
        let message = Message::MemberRoleChanged {
            org_name: acting.org_name().to_owned(),
            role: role.as_str().to_owned(),
        };
        tell(tx, recipient(member), (&notice, None), &message)?;
    }
    Ok(if void > 0 {
        entry.detail("invitations_revoked", void)
    } else {
        entry
    })
}

fn recipient(member: &Member) -> Recipient<'_> {
    Recipient {
        user_id: member.person.id,
        email: &member.email,
        locale: Locale::stored(&member.locale),
    }
}

/// What deleting a member is: leaving, for the caller themself.
pub fn ending<P>(caller: &Caller<P>, user_id: UserId) -> OrgPermission {
    if caller.user_id == user_id {
        OrgPermission::Leave
    } else {
        OrgPermission::RemoveMember
    }
}

/// Ends a stay, the caller's own or another's. What hung on it ends: keys that act there are suspended for good.
pub fn remove<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    (org_id, user_id): (OrgId, UserId),
    precondition: &Precondition,
) -> Result<(), Error> {
    let act = ending(caller, user_id);
    orgs::lock(tx, org_id)?;
    let (acting, member) = target(tx, caller, (org_id, user_id), act)?;
    precondition.check(member.version)?;
    if member.role() == OrgRole::Owner {
        require_another_owner(tx, org_id)?;
    }
    store::delete(tx, member.membership_id)?;
    let void = void_promises(tx, org_id, user_id, None)?;
    let action = if act == OrgPermission::Leave {
        Action::MemberLeft
    } else {
        Action::MemberRemoved
    };
    let entry = about(caller, action, org_id, &member)
        .detail("role", member.role().as_str())
        .detail("invitations_revoked", void);
    audit::record(tx, entry)?;
    if act == OrgPermission::RemoveMember {
        let org_name = acting.org_name().to_owned();
        let notice = Notice::MemberRemoved {
            org_id,
            org_name: org_name.clone(),
        };
        let message = Message::MemberRemoved { org_name };
        tell(tx, recipient(&member), (&notice, None), &message)?;
    }
    Ok(())
}

/// Makes another member the owner in the caller's stead; the caller becomes admin.
pub fn transfer<P>(tx: &mut Tx<'_>, caller: &Caller<P>, (org_id, user_id): (OrgId, UserId)) -> Result<OrgView, Error> {
    orgs::lock(tx, org_id)?;
    let (acting, heir) = target(tx, caller, (org_id, user_id), OrgPermission::TransferOrg)?;
    let former = store::find(tx, org_id, caller.user_id)?.ok_or_else(Error::not_found)?;
    let to = |role: OrgRole| MemberChange {
        role: Some(role.as_str()),
        disabled_services: None,
    };
    let mut entry = about(caller, Action::OrgTransferred, org_id, &heir);
    if heir.role() != OrgRole::Owner {
        store::update(tx, heir.membership_id, to(OrgRole::Owner))?;
        entry = role_changed(tx, caller, &acting, &heir, OrgRole::Owner, entry)?;
    }
    store::update(tx, former.membership_id, to(OrgRole::Admin))?;
    let entry = role_changed(tx, caller, &acting, &former, OrgRole::Admin, entry)?;
    audit::record(tx, entry)?;
    let acting = OrgCaller::require(tx, caller, org_id, OrgPermission::ReadOrg)?;
    let org = orgs::find_org(tx, org_id)?;
    orgs::view(tx, &acting, org)
}
