//! The use cases of organisations: create, list, read, change, delete, replace the logo.

use super::membership::{self, Membership};
use super::model::{Description, JoinPolicy, Org, OrgName, OrgView, Slug};
use super::org_member::{OrgMember, lock_if_exists};
use super::permissions::{PermissionType, can};
use super::store::{self, JoinedOrg, NewOrg, OrgChange};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OrgRole, Principal};
use crate::db::{Tx, violated_constraint};
use crate::error::{Code, Error};
use crate::images;
use crate::notifications::{self, Event};
use crate::secret::ServerSecret;
use crate::sessions;
use crate::users;
use crate::values::ids::{ImageId, OrgId, UserId};
use crate::values::{Cursors, Page, PageQuery, Patch, Precondition};

/// How many numbered slugs, and then how many random ones, are tried for a name.
const SLUG_ATTEMPTS: u32 = 5;

/// How many organisations a person can own when they create another.
const MAX_OWNED_ORGS: i64 = 100;

/// # Errors
/// `not_found`.
pub fn find_org(tx: &mut Tx<'_>, id: OrgId) -> Result<Org, Error> {
    store::find(tx, id)?.ok_or_else(Error::not_found)
}

pub fn find_by_slug(tx: &mut Tx<'_>, slug: &Slug) -> Result<Option<Org>, Error> {
    store::find_by_slug(tx, slug.as_str())
}

/// The settings of a new organisation.
pub struct OrgDraft {
    pub name: OrgName,
    /// `None`: derived from the name.
    pub slug: Option<Slug>,
    pub description: Option<Description>,
    pub join_policy: JoinPolicy,
}

/// Creates an organisation with the caller as its owner.
///
/// # Errors
/// `slug_taken`; `limit_reached` for the owner of [`MAX_OWNED_ORGS`].
pub fn create<P>(tx: &mut Tx<'_>, caller: &Caller<P>, draft: &OrgDraft) -> Result<OrgView, Error> {
    // Serialises creations of one person: two at once could both be the last that is allowed.
    users::lock(tx, caller.user_id)?;
    if membership::count_owned(tx, caller.user_id)? >= MAX_OWNED_ORGS {
        let detail =
            format!("You own {MAX_OWNED_ORGS} organisations. Delete one or transfer it to another member first.");
        return Err(Error::with_detail(Code::LimitReached, detail));
    }
    let new = NewOrg {
        name: draft.name.as_str(),
        description: draft.description.as_ref().map(Description::as_str),
        join_policy: draft.join_policy,
    };
    let org = match &draft.slug {
        Some(slug) => store::insert(tx, slug.as_str(), &new)?.ok_or_else(|| Error::new(Code::SlugTaken))?,
        None => insert_with_derived_slug(tx, &draft.name, &new)?,
    };
    membership::insert(tx, org.id, caller.user_id, OrgRole::Owner)?;
    audit::record(tx, audit_entry(caller, Action::OrgCreated, &org))?;
    Ok(OrgView {
        org,
        role: OrgRole::Owner,
        member_count: 1,
    })
}

fn audit_entry<P>(caller: &Caller<P>, action: Action, org: &Org) -> Entry {
    Entry::by(caller, action)
        .org(org.id)
        .object("org", org.id.uuid(), org.name.clone())
}

/// Derives the slug from the name: as it is, else with a number, else with a random suffix.
fn insert_with_derived_slug(tx: &mut Tx<'_>, name: &OrgName, new: &NewOrg<'_>) -> Result<Org, Error> {
    let stem = Slug::stem_of(name);
    let numbered = (1..=SLUG_ATTEMPTS).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
    let random = (0..SLUG_ATTEMPTS).map(|_| {
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        format!("{stem}-{}", suffix.get(..8).unwrap_or_default())
    });
    for candidate in numbered.chain(random) {
        // A reserved word or a single letter is a valid slug only with a suffix.
        let Ok(slug) = Slug::try_from(candidate) else { continue };
        if !store::has_slug(tx, slug.as_str())?
            && let Some(org) = store::insert(tx, slug.as_str(), new)?
        {
            return Ok(org);
        }
    }
    Err(Error::new(Code::SlugTaken))
}

/// The caller's organisations, the one joined last first.
pub fn list(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    caller: &Principal,
    page: &PageQuery,
) -> Result<Page<OrgView>, Error> {
    let cursors = Cursors::new(secret, format!("orgs of {}", caller.user_id));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list_joined(tx, caller.user_id, caller.bound_to(), after, page.limit + 1)?;
    let page = cursors.page(rows, page.limit, |joined: &JoinedOrg| (joined.joined_at, joined.org.id))?;
    let ids: Vec<OrgId> = page.data.iter().map(|joined| joined.org.id).collect();
    let member_counts = store::count_members(tx, &ids)?;
    Ok(page.map(|joined| OrgView {
        member_count: member_counts.get(&joined.org.id).copied().unwrap_or_default(),
        role: joined.role,
        org: joined.org,
    }))
}

/// The organisation of a membership, as its member sees it.
pub fn read(tx: &mut Tx<'_>, membership: &Membership) -> Result<OrgView, Error> {
    let org = find_org(tx, membership.org_id)?;
    view(tx, membership.role, org)
}

fn view(tx: &mut Tx<'_>, role: OrgRole, org: Org) -> Result<OrgView, Error> {
    let member_counts = store::count_members(tx, &[org.id])?;
    Ok(OrgView {
        member_count: member_counts.get(&org.id).copied().unwrap_or_default(),
        role,
        org,
    })
}

/// The fields that `PATCH /orgs/{org_id}` changes.
#[derive(Clone)]
pub struct OrgChanges {
    pub name: Patch<OrgName>,
    pub slug: Patch<Slug>,
    pub description: Patch<Option<Description>>,
    pub join_policy: Patch<JoinPolicy>,
}

pub fn update<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    org_id: OrgId,
    precondition: &Precondition,
    changes: OrgChanges,
) -> Result<OrgView, Error> {
    let membership = OrgMember::<can::UpdateOrg>::require_locked(tx, caller, org_id)?;
    let org = find_org(tx, org_id)?;
    precondition.check(org.version)?;
    let change = OrgChange {
        name: changes
            .name
            .set()
            .map(OrgName::into_string)
            .filter(|new| *new != org.name),
        slug: changes.slug.set().map(Slug::into_string).filter(|new| *new != org.slug),
        description: changes
            .description
            .set()
            .map(|new| new.map(Description::into_string))
            .filter(|new| *new != org.description),
        join_policy: changes.join_policy.set().filter(|new| *new != org.join_policy),
    };
    let changed: Vec<&str> = [
        ("name", change.name.is_some()),
        ("slug", change.slug.is_some()),
        ("description", change.description.is_some()),
        ("join_policy", change.join_policy.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_new)| is_new.then_some(name))
    .collect();
    if changed.is_empty() {
        return view(tx, membership.role, org);
    }
    let org = store::update(tx, org_id, change).map_err(|error| {
        if violated_constraint(&error) == Some("orgs_slug_key") {
            return Error::new(Code::SlugTaken);
        }
        error.into()
    })?;
    audit::record(
        tx,
        audit_entry(caller, Action::OrgChanged, &org).detail("changed", changed),
    )?;
    view(tx, membership.role, org)
}

/// For [`Caller::locking`]: locks an organisation, if it exists, and returns the users in whose account or sessions it is
/// active.
pub fn lock_for_deletion(tx: &mut Tx<'_>, org_id: OrgId) -> Result<Vec<UserId>, Error> {
    lock_if_exists(tx, org_id)?;
    let mut ids = users::list_ids_by_last_org(tx, org_id)?;
    ids.extend(sessions::list_user_ids_by_org(tx, org_id)?);
    Ok(ids)
}

/// Deletes an organisation that the calling function has locked, with its memberships, invitations, requests to join, API
/// keys and logo. The calling function checks the permission, and writes audit record and notifications.
pub fn delete_locked(tx: &mut Tx<'_>, org_id: OrgId) -> Result<(), Error> {
    // Before the DELETE, because its `ON DELETE SET NULL` could deadlock with a login: that locks the user and then the
    // organisation (the foreign key of the new session), while the DELETE would lock the organisation and then the user.
    users::clear_last_org(tx, org_id)?;
    sessions::clear_org(tx, org_id)?;
    match store::delete(tx, org_id)? {
        Some(logo_id) => images::delete(tx, logo_id),
        None => Ok(()),
    }
}

/// Deletes an organisation and notifies its other members.
pub fn delete<P>(tx: &mut Tx<'_>, caller: &Caller<P>, org_id: OrgId, precondition: &Precondition) -> Result<(), Error> {
    OrgMember::<can::DeleteOrg>::require_locked(tx, caller, org_id)?;
    let org = find_org(tx, org_id)?;
    precondition.check(org.version)?;
    let other_members = membership::list_others(tx, org_id, caller.user_id)?;
    let entry = audit_entry(caller, Action::OrgDeleted, &org).detail("members", other_members.len() + 1);
    audit::record(tx, entry)?;
    delete_locked(tx, org_id)?;
    let event = Event::MemberRemoved {
        org_id,
        org_name: org.name,
    };
    for contact in &other_members {
        notifications::notify(tx, contact.into(), &event)?;
    }
    Ok(())
}

/// Stores a logo, or none, and deletes the previous one. `P` is the permission to set or to remove a logo.
pub fn replace_logo<P: PermissionType, C>(
    tx: &mut Tx<'_>,
    caller: &Caller<C>,
    org_id: OrgId,
    webp: Option<&[u8]>,
) -> Result<Option<ImageId>, Error> {
    OrgMember::<P>::require_locked(tx, caller, org_id)?;
    let org = find_org(tx, org_id)?;
    if org.logo_id.is_none() && webp.is_none() {
        return Ok(None);
    }
    let logo_id = webp.map(|webp| images::insert(tx, webp)).transpose()?;
    store::set_logo(tx, org_id, logo_id)?;
    if let Some(previous) = org.logo_id {
        images::delete(tx, previous)?;
    }
    audit::record(tx, audit_entry(caller, Action::OrgLogoChanged, &org))?;
    Ok(logo_id)
}
