//! What can be done with keys.

use crate::db::Tx;
use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;

use super::format;
use super::list::{Selection, Tenant};
use super::model::{ApiKey, KeyName, KeyRecord, MAX_KEYS, Remark};
use super::store::{self, KeyChange, NewApiKey};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, ScopeCatalog, ScopeContext, Session};
use crate::config::Config;
use crate::credential_cache::{KeyStatus, SuspensionReason};
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::notifications::email::Message;
use crate::notifications::{self, Notice, Recipient};
use crate::orgs::membership::{self, Membership};
use crate::secret::Token;
use crate::state::State;
use crate::users::{self, User};
use crate::values::Patch;
use crate::values::Precondition;
use crate::values::ids::{ApiKeyId, OrgId, UserId};

/// How many days before an expiry its owner is warned.
pub const REMINDER_DAYS: [i32; 3] = [30, 7, 1];

/// What somebody wants a key to be.
pub struct Wish {
    pub name: KeyName,
    pub org_id: Option<OrgId>,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub remark: Option<Remark>,
    pub allowed_ips: Vec<IpNet>,
}

/// A key with its secret, which exists in clear this once.
pub struct Issued {
    pub record: KeyRecord,
    pub secret: Token,
}

/// Those of `scopes` that the holder may not have, by their place.
pub fn scopes_not_allowed(catalogue: &ScopeCatalog, holder: &ScopeContext<'_>, scopes: &[String]) -> Vec<FieldError> {
    scopes
        .iter()
        .enumerate()
        .filter(|(_, scope)| !catalogue.allows(scope, holder))
        .map(|(index, _)| {
            Invalid::new(
                FieldCode::NotAllowed,
                "There is no such scope, or it is beyond what you may do here.",
            )
            .at(format!("#/scopes/{index}"))
        })
        .collect()
}

/// On whose behalf a key of the caller's would act in an organisation, or by itself.
pub fn holder_of<'a, P>(caller: &Caller<P>, stay: Option<&'a Membership>) -> ScopeContext<'a> {
    super::model::holder(
        caller.role,
        false,
        stay.map(|stay| (stay.role(), stay.disabled_services.as_slice())),
    )
}

/// The last instant a key may expire at.
pub fn latest_expiry(config: &Config, now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::days(i64::from(config.key_max_lifetime_days))
}

/// Makes a key for the caller.
///
/// # Errors
/// `not_found` for an organisation the caller is no member of; `validation_error` for scopes beyond the caller's;
/// `limit_reached`.
pub fn create(tx: &mut Tx<'_>, state: &State, caller: &Caller<Session>, wish: Wish) -> Result<Issued, Error> {
    // The lock lets two who make the hundredth key take turns.
    let user = users::lock(tx, caller.user_id)?;
    let stay = wish
        .org_id
        .map(|org_id| membership::require(tx, org_id, caller.user_id))
        .transpose()?;
    let refused = scopes_not_allowed(&state.scopes, &holder_of(caller, stay.as_ref()), &wish.scopes);
    if !refused.is_empty() {
        return Err(Error::validation(refused));
    }
    if store::count(tx, user.id)? >= MAX_KEYS {
        return Err(Error::new(Code::LimitReached));
    }
    let secret = format::generate(&state.config.key_prefix)?;
    let hint = format::hint(&state.config.key_prefix, &secret);
    let name = wish.name.into_string();
    let id = store::insert(
        tx,
        NewApiKey {
            user_id: user.id,
            stay: stay.as_ref().map(|stay| (stay.org_id, stay.id)),
            name: name.clone(),
            remark: wish.remark.map(Remark::into_string),
            hint: hint.clone(),
            scopes: wish.scopes.clone(),
            allowed_ips: wish.allowed_ips,
            expires_at: wish.expires_at,
        },
    )?;
    store::insert_secret(tx, id, &secret.hash())?;
    if let Some(expires_at) = wish.expires_at {
        store::skip_reminders(tx, id, expires_at, &REMINDER_DAYS)?;
    }
    let entry = Entry::by(caller, Action::ApiKeyCreated).org(wish.org_id);
    let entry = entry.object("api_key", id.uuid(), name.clone());
    audit::record(tx, entry.detail("hint", hint.clone()).detail("scopes", wish.scopes))?;
    let org_name = stay.map(|stay| stay.org_name);
    tell_of_creation(tx, &user, id, (name, hint, org_name))?;
    Ok(Issued {
        record: find(tx, user.id, id)?,
        secret,
    })
}

fn tell_of_creation(
    tx: &mut Tx<'_>,
    user: &User,
    api_key_id: ApiKeyId,
    (name, hint, org_name): (String, String, Option<String>),
) -> Result<(), Error> {
    let notice = Notice::ApiKeyCreated {
        api_key_id,
        name: name.clone(),
        hint: hint.clone(),
    };
    let message = Message::ApiKeyCreated { name, hint, org_name };
    notifications::tell(tx, recipient(user), (&notice, None), &message)
}

fn recipient(user: &User) -> Recipient<'_> {
    Recipient {
        user_id: user.id,
        email: &user.email,
        locale: user.locale(),
    }
}

/// A key of a person's.
///
/// # Errors
/// `not_found`.
pub fn find(tx: &mut Tx<'_>, user_id: UserId, id: ApiKeyId) -> Result<KeyRecord, Error> {
    find_of(tx, Tenant::Owner(user_id), id)
}

/// A key of a tenant's.
///
/// # Errors
/// `not_found`.
pub fn find_of(tx: &mut Tx<'_>, tenant: Tenant, id: ApiKeyId) -> Result<KeyRecord, Error> {
    let selection = Selection {
        id: Some(id),
        ..Selection::of(tenant)
    };
    store::select(tx, &selection)?.pop().ok_or_else(Error::not_found)
}

/// What a patch asks for.
pub struct Changes {
    pub name: Patch<KeyName>,
    pub remark: Patch<Option<Remark>>,
    pub enabled: Patch<bool>,
    pub scopes: Patch<Vec<String>>,
    pub allowed_ips: Patch<Vec<IpNet>>,
}

/// Whether these scopes are more than the key has.
pub fn widens(record: &KeyRecord, scopes: &[String]) -> bool {
    scopes.iter().any(|scope| !record.key.scopes.contains(scope))
}

/// The scopes that a patch would add and the holder may not have.
pub fn additions_not_allowed(catalogue: &ScopeCatalog, record: &KeyRecord, scopes: &[String]) -> Vec<FieldError> {
    let mut refused = scopes_not_allowed(catalogue, &record.holder(), scopes);
    let has = |index: usize| scopes.get(index).is_some_and(|scope| record.key.scopes.contains(scope));
    // What it has it may keep, though it may not be of use just now.
    let kept: Vec<String> = (0..scopes.len())
        .filter(|index| has(*index))
        .map(|index| format!("#/scopes/{index}"))
        .collect();
    refused.retain(|field| !matches!(&field.place, crate::error::Place::Pointer(place) if kept.contains(place)));
    refused
}

/// Changes a key. `confirmed` says that the password was shown, which more scopes take.
///
/// # Errors
/// `not_found`, `validation_error`, `reauthentication_required`, `precondition_failed`.
pub fn update(
    tx: &mut Tx<'_>,
    catalogue: &ScopeCatalog,
    caller: &Caller<Session>,
    id: ApiKeyId,
    (changes, precondition, confirmed): (Changes, &Precondition, bool),
) -> Result<KeyRecord, Error> {
    let now = caller.now();
    let key = store::lock(tx, caller.user_id, id)?.ok_or_else(Error::not_found)?;
    let record = find(tx, caller.user_id, id)?;
    let scopes = changes.scopes.set();
    if let Some(scopes) = &scopes {
        let refused = additions_not_allowed(catalogue, &record, scopes);
        if !refused.is_empty() {
            return Err(Error::validation(refused));
        }
        if widens(&record, scopes) && !confirmed {
            return Err(Error::new(Code::ReauthenticationRequired));
        }
    }
    precondition.check(key.version)?;
    let enabled = changes.enabled.set();
    let change = KeyChange {
        name: changes
            .name
            .set()
            .map(KeyName::into_string)
            .filter(|new| *new != key.name),
        remark: changes
            .remark
            .set()
            .map(|new| new.map(Remark::into_string))
            .filter(|new| *new != key.remark),
        scopes: scopes.filter(|new| *new != key.scopes),
        allowed_ips: changes.allowed_ips.set().filter(|new| *new != key.allowed_ips),
        disabled_at: enabled
            .filter(|enabled| *enabled == key.disabled_at.is_some())
            .map(|enabled| (!enabled).then_some(now)),
    };
    let changed = changed_members(&change);
    if changed.is_empty() {
        return Ok(record);
    }
    store::update(tx, id, change)?;
    let entry = entry_about(caller, Action::ApiKeyUpdated, &key);
    audit::record(tx, entry.detail("changed", changed))?;
    find(tx, caller.user_id, id)
}

fn changed_members(change: &KeyChange) -> Vec<&'static str> {
    [
        ("name", change.name.is_some()),
        ("remark", change.remark.is_some()),
        ("scopes", change.scopes.is_some()),
        ("allowed_ips", change.allowed_ips.is_some()),
        ("enabled", change.disabled_at.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_new)| is_new.then_some(name))
    .collect()
}

fn entry_about<P>(caller: &Caller<P>, action: Action, key: &ApiKey) -> Entry {
    Entry::by(caller, action)
        .user(key.user_id)
        .org(key.org_id)
        .object("api_key", key.id.uuid(), key.name.clone())
}

/// When a key would expire that is extended by `days`, if that is not later than may be.
pub fn extended(
    config: &Config,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    days: i64,
) -> Result<DateTime<Utc>, Box<FieldError>> {
    let (start, latest) = (now.max(expires_at), latest_expiry(config, now));
    let extended = start + TimeDelta::days(days);
    if extended > latest {
        let max = (latest - start).num_days().max(0);
        let detail = format!(
            "A key may expire {} days from now at the latest.",
            config.key_max_lifetime_days
        );
        let invalid = Invalid::new(FieldCode::OutOfRange, detail).with("max", max);
        return Err(invalid.at("#/days").into());
    }
    Ok(extended)
}

/// Lets a key live longer.
///
/// # Errors
/// `not_found`; `key_never_expires`; `validation_error` when it would expire later than may be.
pub fn extend(
    tx: &mut Tx<'_>,
    config: &Config,
    caller: &Caller<Session>,
    id: ApiKeyId,
    days: i64,
) -> Result<KeyRecord, Error> {
    let now = caller.now();
    let key = store::lock(tx, caller.user_id, id)?.ok_or_else(Error::not_found)?;
    let expires_at = key.expires_at.ok_or_else(|| Error::new(Code::KeyNeverExpires))?;
    let expires_at = extended(config, now, expires_at, days).map_err(|invalid| Error::validation(vec![*invalid]))?;
    store::set_expiry(tx, id, expires_at)?;
    store::skip_reminders(tx, id, expires_at, &REMINDER_DAYS)?;
    let entry = entry_about(caller, Action::ApiKeyExtended, &key);
    audit::record(tx, entry.detail("days", days))?;
    find(tx, caller.user_id, id)
}

/// Gives a key another secret; the present one lives for `grace`, the one before it ends.
///
/// # Errors
/// `not_found`; `invalid_state` for a key that has expired or lost its membership.
pub fn rotate(
    tx: &mut Tx<'_>,
    config: &Config,
    caller: &Caller<Session>,
    id: ApiKeyId,
    grace: TimeDelta,
) -> Result<Issued, Error> {
    let now = caller.now();
    let key = store::lock(tx, caller.user_id, id)?.ok_or_else(Error::not_found)?;
    let (status, reason) = find(tx, caller.user_id, id)?.status(now);
    let has_expired = key.expires_at.is_some_and(|at| at <= now);
    if has_expired || (status, reason) == (KeyStatus::Suspended, Some(SuspensionReason::NotAMember)) {
        return Err(Error::new(Code::InvalidState));
    }
    let secret = format::generate(&config.key_prefix)?;
    let ends_at = key.expires_at.map_or(now + grace, |at| at.min(now + grace));
    store::end_secrets(tx, id, (grace > TimeDelta::zero()).then_some(ends_at))?;
    store::insert_secret(tx, id, &secret.hash())?;
    store::set_hint(tx, id, &format::hint(&config.key_prefix, &secret))?;
    let entry = entry_about(caller, Action::ApiKeyRotated, &key);
    audit::record(tx, entry.detail("grace_seconds", grace.num_seconds()))?;
    Ok(Issued {
        record: find(tx, caller.user_id, id)?,
        secret,
    })
}

/// Deletes keys of the caller's; answers with those there were.
///
/// # Errors
/// When the database fails.
pub fn delete<P>(tx: &mut Tx<'_>, caller: &Caller<P>, ids: &[ApiKeyId]) -> Result<Vec<ApiKeyId>, Error> {
    let deleted = store::delete(tx, Tenant::Owner(caller.user_id), ids)?;
    for key in &deleted {
        audit::record(tx, entry_about(caller, Action::ApiKeyDeleted, key))?;
    }
    Ok(deleted.into_iter().map(|key| key.id).collect())
}

/// Deletes one key, and tells its owner that it was not them in a session of theirs.
///
/// # Errors
/// `not_found`.
pub fn revoke<P>(tx: &mut Tx<'_>, caller: &Caller<P>, tenant: Tenant, id: ApiKeyId) -> Result<(), Error> {
    let key = store::delete(tx, tenant, &[id])?.pop().ok_or_else(Error::not_found)?;
    audit::record(tx, entry_about(caller, Action::ApiKeyRevoked, &key))?;
    let org_name = match key.org_id {
        Some(org_id) => membership::find(tx, org_id, caller.user_id)?.map(|stay| stay.org_name),
        None => None,
    };
    let owner = users::find(tx, key.user_id)?;
    let notice = Notice::ApiKeyRevoked {
        api_key_id: key.id,
        name: key.name.clone(),
        hint: key.hint.clone(),
        org_name: org_name.clone(),
    };
    let message = Message::ApiKeyRevoked {
        name: key.name,
        hint: key.hint,
        org_name,
        by: (owner.id != caller.user_id).then(|| caller.name.clone()),
    };
    notifications::tell(tx, recipient(&owner), (&notice, None), &message)
}

/// Switches off the keys a person made since an instant, such as the one at which somebody may have taken over their
/// account. The act that leads to it is on record already.
///
/// # Errors
/// When the database fails.
pub fn disable_made_since(tx: &mut Tx<'_>, user_id: UserId, since: DateTime<Utc>) -> Result<usize, Error> {
    store::disable_made_since(tx, user_id, since).map(|keys| keys.len())
}
