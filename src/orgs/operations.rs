//! What can be done with organisations.

use crate::db::Tx;

use super::model::{Description, JoinPolicy, Org, OrgName, Slug};
use super::permissions::{OrgCaller, OrgPermission};
use super::store::{self, Joined, NewOrg, OrgChange};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OrgRole};
use crate::db::violated_constraint;
use crate::error::{Code, Error};
use crate::images;
use crate::notifications::email::Message;
use crate::notifications::{self, Notice, Recipient};
use crate::orgs::membership;
use crate::secret::ServerSecret;
use crate::values::Patch;
use crate::values::ids::{ImageId, OrgId};
use crate::values::locale::Locale;
use crate::values::{Cursors, Page, PageQuery, Precondition};

/// How many numbers are tried behind a name's slug before chance decides.
const NUMBERED: u32 = 5;

/// An organisation, as one of its members sees it.
pub struct OrgView {
    /// It.
    pub org: Org,
    /// The member's role.
    pub role: OrgRole,
    /// How many are there.
    pub member_count: i64,
}

/// The organisation.
///
/// # Errors
/// `not_found`.
pub fn find_org(tx: &mut Tx<'_>, id: OrgId) -> Result<Org, Error> {
    store::find(tx, id)?.ok_or_else(Error::not_found)
}

/// The organisation so named, if there is one.
///
/// # Errors
/// When the database fails.
pub fn find_by_slug(tx: &mut Tx<'_>, slug: &Slug) -> Result<Option<Org>, Error> {
    store::find_by_slug(tx, slug.as_str())
}

/// What an organisation is to be.
pub struct OrgDraft {
    pub name: OrgName,
    pub slug: Option<Slug>,
    pub description: Option<Description>,
    pub join_policy: JoinPolicy,
}

/// Makes an organisation, which the caller owns.
pub fn create<P>(tx: &mut Tx<'_>, caller: &Caller<P>, draft: &OrgDraft) -> Result<OrgView, Error> {
    let new = NewOrg {
        name: draft.name.as_str(),
        description: draft.description.as_ref().map(Description::as_str),
        join_policy: draft.join_policy,
    };
    let org = match &draft.slug {
        Some(slug) => store::insert(tx, slug.as_str(), &new)?.ok_or_else(|| Error::new(Code::SlugTaken))?,
        None => insert_under_own_name(tx, &draft.name, &new)?,
    };
    membership::begin(tx, org.id, caller.user_id, OrgRole::Owner)?;
    audit::record(tx, about(caller, Action::OrgCreated, &org))?;
    Ok(OrgView {
        org,
        role: OrgRole::Owner,
        member_count: 1,
    })
}

fn about<P>(caller: &Caller<P>, action: Action, org: &Org) -> Entry {
    Entry::by(caller, action)
        .org(org.id)
        .object("org", org.id.uuid(), org.name.clone())
}

/// Derives a slug from the name: as it is, else with a number, else with chance behind it.
fn insert_under_own_name(tx: &mut Tx<'_>, name: &OrgName, new: &NewOrg<'_>) -> Result<Org, Error> {
    let stem = Slug::stem_of(name);
    let numbered = (1..=NUMBERED).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
    let by_chance = (0..NUMBERED).map(|_| {
        let chance = uuid::Uuid::new_v4().simple().to_string();
        format!("{stem}-{}", chance.get(..8).unwrap_or_default())
    });
    for candidate in numbered.chain(by_chance) {
        let Ok(slug) = Slug::try_from(candidate) else { continue };
        if !store::has_slug(tx, slug.as_str())?
            && let Some(org) = store::insert(tx, slug.as_str(), new)?
        {
            return Ok(org);
        }
    }
    Err(Error::new(Code::SlugTaken))
}

/// The caller's organisations, the last joined first.
pub fn list<P>(
    tx: &mut Tx<'_>,
    secret: &ServerSecret,
    caller: &Caller<P>,
    page: &PageQuery,
) -> Result<Page<OrgView>, Error> {
    let cursors = Cursors::new(secret, format!("orgs of {}", caller.user_id));
    let after = cursors.read(page.cursor.as_deref())?;
    let rows = store::list_joined(tx, caller.user_id, caller.bound_to(), after, page.limit + 1)?;
    let page = cursors.page(rows, page.limit, |(org, _, joined_at): &Joined| (*joined_at, org.id))?;
    let ids: Vec<OrgId> = page.data.iter().map(|(org, ..)| org.id).collect();
    let counts = store::count_members(tx, &ids)?;
    Ok(page.map(|(org, role, _)| OrgView {
        member_count: counts.get(&org.id).copied().unwrap_or_default(),
        role: OrgRole::stored(&role),
        org,
    }))
}

/// The organisation, as the caller sees it.
pub fn read<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: OrgId) -> Result<OrgView, Error> {
    let member = OrgCaller::require(tx, caller, id, OrgPermission::ReadOrg)?;
    let org = find_org(tx, id)?;
    view(tx, &member, org)
}

/// The organisation, as this member sees it.
///
/// # Errors
/// When the database fails.
pub fn view(tx: &mut Tx<'_>, member: &OrgCaller, org: Org) -> Result<OrgView, Error> {
    let counts = store::count_members(tx, &[org.id])?;
    Ok(OrgView {
        member_count: counts.get(&org.id).copied().unwrap_or_default(),
        role: member.role(),
        org,
    })
}

/// What `PATCH /orgs/{org_id}` can change.
pub struct OrgChanges {
    pub name: Patch<OrgName>,
    pub slug: Patch<Slug>,
    pub description: Patch<Option<Description>>,
    pub join_policy: Patch<JoinPolicy>,
}

/// Changes what an organisation says of itself.
pub fn update<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    id: OrgId,
    precondition: &Precondition,
    changes: OrgChanges,
) -> Result<OrgView, Error> {
    let member = OrgCaller::require_locked(tx, caller, id, OrgPermission::UpdateOrg)?;
    let org = find_org(tx, id)?;
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
        join_policy: changes
            .join_policy
            .set()
            .filter(|new| *new != org.join_policy())
            .map(JoinPolicy::as_str),
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
        return view(tx, &member, org);
    }
    let org = store::update(tx, id, change).map_err(|error| {
        if violated_constraint(&error) == Some("orgs_slug_key") {
            return Error::new(Code::SlugTaken);
        }
        error.into()
    })?;
    audit::record(tx, about(caller, Action::OrgChanged, &org).detail("changed", changed))?;
    view(tx, &member, org)
}

/// Ends an organisation, locked before, with its logo and all else that hangs on it. Whether it may end, who is told, and
/// the record are the caller's affair.
///
/// # Errors
/// When the database fails.
pub fn end(tx: &mut Tx<'_>, id: OrgId) -> Result<(), Error> {
    match store::delete(tx, id)? {
        Some(logo) => images::delete(tx, logo),
        None => Ok(()),
    }
}

/// Ends an organisation, and all that hangs on it; its members are told.
pub fn delete<P>(tx: &mut Tx<'_>, caller: &Caller<P>, id: OrgId, precondition: &Precondition) -> Result<(), Error> {
    OrgCaller::require_locked(tx, caller, id, OrgPermission::DeleteOrg)?;
    let org = find_org(tx, id)?;
    precondition.check(org.version)?;
    let others = store::others(tx, id, caller.user_id)?;
    audit::record(
        tx,
        about(caller, Action::OrgDeleted, &org).detail("members", others.len() + 1),
    )?;
    end(tx, id)?;
    for (user_id, email, locale) in others {
        let notice = Notice::MemberRemoved {
            org_id: id,
            org_name: org.name.clone(),
        };
        let message = Message::MemberRemoved {
            org_name: org.name.clone(),
        };
        let recipient = Recipient {
            user_id,
            email: &email,
            locale: Locale::stored(&locale),
        };
        notifications::tell(tx, recipient, (&notice, None), &message)?;
    }
    Ok(())
}

/// Puts another logo, or none, in the place of the present one.
pub fn replace_logo<P>(
    tx: &mut Tx<'_>,
    caller: &Caller<P>,
    id: OrgId,
    act: OrgPermission,
    webp: Option<&[u8]>,
) -> Result<Option<ImageId>, Error> {
    OrgCaller::require_locked(tx, caller, id, act)?;
    let org = find_org(tx, id)?;
    if org.logo_id.is_none() && webp.is_none() {
        return Ok(None);
    }
    let logo = webp.map(|webp| images::insert(tx, webp)).transpose()?;
    store::set_logo(tx, id, logo)?;
    if let Some(old) = org.logo_id {
        images::delete(tx, old)?;
    }
    audit::record(tx, about(caller, Action::OrgLogoChanged, &org))?;
    Ok(logo)
}
