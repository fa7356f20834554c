//! One function per use case, each within the caller's transaction.

use chrono::{DateTime, TimeDelta, Utc};

use super::filter::{Filter, TenantScope};
use super::format;
use super::model::{ApiKey, Grant, KeyDetails, KeyName, MAX_KEYS, NewApiKey, Remark, Scopes};
use super::networks::{self, AllowedIps};
use super::reminders::REMINDER_DAYS;
use super::store::{self, ApiKeyChangeset, ApiKeyInsert};
use crate::audit::{self, Action, Entry};
use crate::auth::{Caller, OrgContext, ScopeCatalog, ScopeContext, Session};
use crate::config::Config;
use crate::credential_cache::SuspensionReason;
use crate::db::Tx;
use crate::error::{Code, Error, FieldCode, FieldError, Invalid};
use crate::notifications::{self, Event, Recipient};
use crate::orgs::membership::{self, Membership};
use crate::secret::Token;
use crate::state::State;
use crate::users::{self, User};
use crate::values::ids::{ApiKeyId, UserId};
use crate::values::{Patch, Precondition};

/// A key with its new secret. The secret exists in clear only here and in the response.
pub struct IssuedKey {
    pub details: KeyDetails,
    pub secret: Token,
}

fn scope_not_allowed(index: usize) -> FieldError {
    Invalid::new(
        FieldCode::NotAllowed,
        "This scope does not exist, or you may not use it here.",
    )
    .at(format!("#/scopes/{index}"))
}

/// The maximum lifetime where none is configured.
const DEFAULT_MAX_LIFETIME_DAYS: u32 = 3650;

fn max_lifetime_days(config: &Config) -> u32 {
    config.key_max_lifetime_days.unwrap_or(DEFAULT_MAX_LIFETIME_DAYS)
}

fn latest_expiry(config: &Config, now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::days(i64::from(max_lifetime_days(config)))
}

/// Checks that the caller may create a key with this grant, and returns its expiry.
///
/// # Errors
/// Everything that is wrong with the grant.
pub fn check_grant<P>(
    state: &State,
    caller: &Caller<P>,
    membership: Option<&Membership>,
    grant: &Grant,
) -> Result<Option<DateTime<Utc>>, Vec<FieldError>> {
    // The caller's session may act in another organisation than the key will.
    let context = ScopeContext {
        platform_role: caller.role,
        org: membership.map_or(OrgContext::Personal, |membership| OrgContext::Member {
            role: membership.role,
            disabled_services: &membership.disabled_services,
        }),
    };
    let mut errors: Vec<FieldError> = (grant.scopes.iter().enumerate())
        .filter(|(_, scope)| !state.scopes.allows(scope, &context))
        .map(|(index, _)| scope_not_allowed(index))
        .collect();
    let now = caller.now();
    let latest = latest_expiry(&state.config, now);
    match grant.expiry.resolve(now, latest) {
        Ok(expires_at) if errors.is_empty() => {
            // Otherwise leaving the expiry out would evade the maximum.
            let limited = state.config.key_max_lifetime_days.map(|_| latest);
            return Ok(expires_at.or(limited));
        }
        Ok(_) => {}
        Err(error) => errors.push(*error),
    }
    Err(errors)
}

/// Creates a key of the caller.
///
/// # Errors
/// `not_found` if the caller is not a member of the organisation; `validation_error` if they may not grant this;
/// `limit_reached`.
pub fn create(tx: &mut Tx<'_>, state: &State, caller: &Caller<Session>, new: NewApiKey) -> Result<IssuedKey, Error> {
    // The transaction has locked the caller's account, so that two creations at once can't both be the hundredth key.
    let user = users::find(tx, caller.user_id)?;
    let NewApiKey {
        name,
        grant,
        remark,
        allowed_ips,
    } = new;
    let membership = grant
        .org_id
        .map(|org_id| membership::require(tx, org_id, caller.user_id))
        .transpose()?;
    let expires_at = check_grant(state, caller, membership.as_ref(), &grant).map_err(Error::validation)?;
    if store::count(tx, user.id)? >= MAX_KEYS {
        return Err(Error::new(Code::LimitReached));
    }
    let secret = format::generate(&state.config.key_prefix)?;
    let hint = format::hint(&state.config.key_prefix, &secret);
    let row = ApiKeyInsert {
        user_id: user.id,
        org_id: grant.org_id,
        membership_id: membership.as_ref().map(|membership| membership.id),
        name: name.into_string(),
        remark: remark.map(Remark::into_string),
        hint,
        scopes: grant.scopes,
        allowed_ips,
        expires_at,
    };
    let id = store::insert(tx, row)?;
    store::insert_secret(tx, id, &secret.hash())?;
    if let Some(expires_at) = expires_at {
        store::skip_past_reminders(tx, id, expires_at, &REMINDER_DAYS)?;
    }
    let details = find(tx, user.id, id)?;
    let key = &details.key;
    let entry = Entry::by(caller, Action::ApiKeyCreated)
        .org(key.org_id)
        .object("api_key", id.uuid(), key.name.clone())
        .detail("hint", key.hint.clone())
        .detail("scopes", key.scopes.clone());
    audit::record(tx, entry)?;
    notify_created(tx, &user, key, membership.map(|membership| membership.org_name))?;
    Ok(IssuedKey { details, secret })
}

fn notify_created(tx: &mut Tx<'_>, owner: &User, key: &ApiKey, org_name: Option<String>) -> Result<(), Error> {
    let event = Event::ApiKeyCreated {
        api_key_id: key.id,
        name: key.name.clone(),
        hint: key.hint.clone(),
        org_name,
    };
    notifications::notify(tx, recipient(owner), &event)
}

fn recipient(user: &User) -> Recipient<'_> {
    Recipient {
        user_id: user.id,
        email: &user.email,
        locale: user.locale,
    }
}

/// The key, or `not_found` if the person has no such key.
pub fn find(tx: &mut Tx<'_>, user_id: UserId, id: ApiKeyId) -> Result<KeyDetails, Error> {
    find_in(tx, TenantScope::User(user_id), id)
}

/// The key, or `not_found` if the tenant has no such key.
pub fn find_in(tx: &mut Tx<'_>, tenant: TenantScope, id: ApiKeyId) -> Result<KeyDetails, Error> {
    store::select(tx, &Filter::by_id(tenant, id))?
        .pop()
        .ok_or_else(Error::not_found)
}

/// For [`Caller::locking`]: the owner of a key, if the tenant has it.
pub fn list_owner(tx: &mut Tx<'_>, tenant: TenantScope, id: ApiKeyId) -> Result<Vec<UserId>, Error> {
    let keys = store::select(tx, &Filter::by_id(tenant, id))?;
    Ok(keys.into_iter().map(|details| details.key.user_id).collect())
}

/// A page of keys, with one more than a page holds if there are more.
///
/// # Errors
/// `not_found` if the filter names an organisation in which the person has no keys and of which they are not a member.
pub fn list(tx: &mut Tx<'_>, user_id: UserId, filter: &Filter) -> Result<Vec<KeyDetails>, Error> {
    let keys = store::select(tx, filter)?;
    // Keys outlive a membership and stay visible to their owner. Without keys, an empty page would reveal to
    // non-members that the organisation exists.
    if let Some(org_id) = filter.org_id.filter(|_| keys.is_empty()) {
        membership::require(tx, org_id, user_id)?;
    }
    Ok(keys)
}

/// A patch of a key, and how it was authorised.
#[derive(Clone)]
pub struct ApiKeyUpdate {
    pub name: Patch<KeyName>,
    pub remark: Patch<Option<Remark>>,
    pub enabled: Patch<bool>,
    pub scopes: Patch<Scopes>,
    pub allowed_ips: Patch<AllowedIps>,
    pub precondition: Precondition,
    /// The password was given, or the session is fresh.
    pub password_confirmed: bool,
}

/// Checks the scopes of an update. A scope that the key already has is always allowed, even if it is not effective now.
pub fn check_patched_scopes(catalog: &ScopeCatalog, details: &KeyDetails, scopes: &[String]) -> Vec<FieldError> {
    let context = details.scope_context();
    (scopes.iter().enumerate())
        .filter(|(_, scope)| !details.key.scopes.contains(scope) && !catalog.allows(scope, &context))
        .map(|(index, _)| scope_not_allowed(index))
        .collect()
}

/// Changes a key of the caller.
///
/// # Errors
/// `not_found`; `validation_error` for scopes the caller may not grant; `reauthentication_required` if scopes are added
/// without the password; `precondition_failed`.
pub fn update(
    tx: &mut Tx<'_>,
    catalog: &ScopeCatalog,
    caller: &Caller<Session>,
    id: ApiKeyId,
    update: ApiKeyUpdate,
) -> Result<KeyDetails, Error> {
    let (key, details) = lock_with_details(tx, caller, id)?;
    let scopes = update.scopes.set().map(Scopes::deduplicated);
    if let Some(scopes) = &scopes {
        let errors = check_patched_scopes(catalog, &details, scopes);
        if !errors.is_empty() {
            return Err(Error::validation(errors));
        }
        if details.is_widened_by(scopes) && !update.password_confirmed {
            return Err(Error::new(Code::ReauthenticationRequired));
        }
    }
    update.precondition.check(key.version)?;
    let name = update.name.set().map(KeyName::into_string);
    let remark = update.remark.set().map(|remark| remark.map(Remark::into_string));
    let allowed_ips = update.allowed_ips.set().map(|AllowedIps(networks)| networks);
    let disable = update.enabled.set().map(|enabled| !enabled);
    let gets_more = disable == Some(false) && key.disabled_at.is_some()
        || scopes.as_ref().is_some_and(|scopes| details.is_widened_by(scopes))
        || allowed_ips
            .as_ref()
            .is_some_and(|networks| networks::is_wider(networks, &key.allowed_ips));
    let changeset = ApiKeyChangeset {
        granted_at: gets_more.then_some(tx.now),
        name: name.filter(|name| *name != key.name),
        remark: remark.filter(|remark| *remark != key.remark),
        scopes: scopes.filter(|scopes| *scopes != key.scopes),
        allowed_ips: allowed_ips.filter(|networks| *networks != key.allowed_ips),
        disabled_at: disable
            .filter(|disable| *disable != key.disabled_at.is_some())
            .map(|disable| disable.then_some(tx.now)),
    };
    let changed = changed_fields(&changeset);
    if changed.is_empty() {
        return Ok(details);
    }
    store::update(tx, id, changeset)?;
    let entry = audit_entry(caller, Action::ApiKeyUpdated, &key);
    audit::record(tx, entry.detail("changed", changed))?;
    find(tx, caller.user_id, id)
}

/// A key of the caller, locked until the end of the transaction, and what it may do now.
///
/// # Errors
/// `not_found`.
fn lock_with_details(tx: &mut Tx<'_>, caller: &Caller<Session>, id: ApiKeyId) -> Result<(ApiKey, KeyDetails), Error> {
    let key = store::lock(tx, caller.user_id, id)?.ok_or_else(Error::not_found)?;
    Ok((key, find(tx, caller.user_id, id)?))
}

fn changed_fields(changeset: &ApiKeyChangeset) -> Vec<&'static str> {
    [
        ("name", changeset.name.is_some()),
        ("remark", changeset.remark.is_some()),
        ("scopes", changeset.scopes.is_some()),
        ("allowed_ips", changeset.allowed_ips.is_some()),
        ("enabled", changeset.disabled_at.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_changed)| is_changed.then_some(name))
    .collect()
}

fn audit_entry<P>(caller: &Caller<P>, action: Action, key: &ApiKey) -> Entry {
    Entry::by(caller, action)
        .user(key.user_id)
        .org(key.org_id)
        .object("api_key", key.id.uuid(), key.name.clone())
}

/// The expiry of a key after an extension by `days`, which count from now if the key has expired.
///
/// # Errors
/// `out_of_range` if that exceeds the maximum lifetime.
pub fn extended_expiry(
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
            max_lifetime_days(config)
        );
        let invalid = Invalid::new(FieldCode::OutOfRange, detail).with("max", max);
        return Err(invalid.at("#/days").into());
    }
    Ok(extended)
}

/// Extends a key of the caller.
///
/// # Errors
/// `not_found`; `key_never_expires`; `validation_error` if the new expiry exceeds the maximum lifetime.
pub fn extend(
    tx: &mut Tx<'_>,
    config: &Config,
    caller: &Caller<Session>,
    id: ApiKeyId,
    days: i64,
) -> Result<KeyDetails, Error> {
    let key = store::lock(tx, caller.user_id, id)?.ok_or_else(Error::not_found)?;
    let now = caller.now();
    let expired_at = key.expires_at.ok_or_else(|| Error::new(Code::KeyNeverExpires))?;
    let expires_at = extended_expiry(config, now, expired_at, days).map_err(|error| Error::validation(vec![*error]))?;
    store::set_expiry(tx, id, expires_at, (expired_at <= now).then_some(now))?;
    store::skip_past_reminders(tx, id, expires_at, &REMINDER_DAYS)?;
    let entry = audit_entry(caller, Action::ApiKeyExtended, &key);
    audit::record(tx, entry.detail("days", days))?;
    find(tx, caller.user_id, id)
}

/// Issues a new secret for a key of the caller. The current secret works until the end of the grace period, the
/// previous one ends now.
///
/// # Errors
/// `not_found`; `invalid_state` if the key has expired or its membership has ended.
pub fn rotate(
    tx: &mut Tx<'_>,
    config: &Config,
    caller: &Caller<Session>,
    id: ApiKeyId,
    grace: TimeDelta,
) -> Result<IssuedKey, Error> {
    let now = caller.now();
    let (key, details) = lock_with_details(tx, caller, id)?;
    let (_, suspension) = details.status(now);
    let has_expired = key.expires_at.is_some_and(|at| at <= now);
    if has_expired || suspension == Some(SuspensionReason::NotAMember) {
        return Err(Error::new(Code::InvalidState));
    }
    let secret = format::generate(&config.key_prefix)?;
    let ends_at = key.expires_at.map_or(now + grace, |at| at.min(now + grace));
    let ends_at = (grace > TimeDelta::zero()).then_some(ends_at);
    store::end_secrets(tx, id, ends_at)?;
    store::insert_secret(tx, id, &secret.hash())?;
    let hint = format::hint(&config.key_prefix, &secret);
    store::set_hint(tx, id, &hint)?;
    let entry = audit_entry(caller, Action::ApiKeyRotated, &key);
    audit::record(tx, entry.detail("grace_seconds", grace.num_seconds()))?;
    let owner = users::find(tx, key.user_id)?;
    let event = Event::ApiKeyRotated {
        api_key_id: id,
        name: key.name,
        hint,
        previous_secret_expires_at: ends_at,
    };
    notifications::notify(tx, recipient(&owner), &event)?;
    Ok(IssuedKey {
        details: find(tx, caller.user_id, id)?,
        secret,
    })
}

/// Deletes keys of the caller and returns the ids of those that existed.
pub fn delete<P>(tx: &mut Tx<'_>, caller: &Caller<P>, ids: &[ApiKeyId]) -> Result<Vec<ApiKeyId>, Error> {
    let deleted = store::delete(tx, TenantScope::User(caller.user_id), ids)?;
    for key in &deleted {
        audit::record(tx, audit_entry(caller, Action::ApiKeyDeleted, key))?;
    }
    Ok(deleted.into_iter().map(|key| key.id).collect())
}

/// Deletes a key on behalf of an admin of its organisation or of the key itself, and notifies the owner.
///
/// # Errors
/// `not_found`.
pub fn revoke<P>(tx: &mut Tx<'_>, caller: &Caller<P>, tenant: TenantScope, id: ApiKeyId) -> Result<(), Error> {
    let key = store::delete(tx, tenant, &[id])?.pop().ok_or_else(Error::not_found)?;
    audit::record(tx, audit_entry(caller, Action::ApiKeyRevoked, &key))?;
    let org_name = match key.org_id {
        Some(org_id) => membership::find(tx, org_id, caller.user_id)?.map(|membership| membership.org_name),
        None => None,
    };
    let owner = users::find(tx, key.user_id)?;
    let event = Event::ApiKeyRevoked {
        api_key_id: key.id,
        name: key.name,
        hint: key.hint,
        org_name,
        by_owner: owner.id == caller.user_id,
        revoked_by: caller.name.clone().filter(|_| owner.id != caller.user_id),
    };
    notifications::notify(tx, recipient(&owner), &event)
}

/// Disables the keys of a person that were created, rotated, enabled or widened since an instant, and returns their number:
/// an intruder may have done so. Not audited by itself; the action that causes it is.
pub fn disable_granted_since(tx: &mut Tx<'_>, user_id: UserId, since: DateTime<Utc>) -> Result<usize, Error> {
    store::disable_granted_since(tx, user_id, since)
}
