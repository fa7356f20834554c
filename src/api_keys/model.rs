//! The row of a key, the fields of requests about keys, and rules that need no database.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use ipnet::IpNet;
use serde_json::Value;

use crate::auth::{OrgContext, OrgRole, PlatformRole, ScopeCatalog, ScopeContext};
use crate::credential_cache::{KeyState, KeyStatus, SuspensionReason};
use crate::error::{Error, FieldCode, FieldError, Invalid};
use crate::values::ids::{ApiKeyId, MembershipId, OrgId, UserId};
use crate::values::{
    BoundedInt, BoundedText, FieldValue, Fields, IdRef, Timestamp, ValueErrors, clean_line, clean_text, string_enum,
};

/// Maximum number of keys of a person.
pub const MAX_KEYS: i64 = 100;
/// Maximum number of entries in `scopes`, `allowed_ips` and `ids`.
pub(super) const MAX_ITEMS: usize = 100;

crate::text_type! {
    pub struct KeyName(1..=100) by clean_line, example "nightly export"
}

crate::text_type! {
    pub struct Remark(0..=500) by clean_text, example "Runs on the build machine"
}

crate::text_type! {
    /// An id, or a part of a name.
    pub struct Search(0..=200) by any_text
}

#[expect(clippy::unnecessary_wraps, reason = "text_type! expects a function that can fail")]
fn any_text(text: String) -> Result<String, Invalid> {
    Ok(text)
}

pub(super) fn too_many() -> Invalid {
    Invalid::new(FieldCode::TooLong, format!("Use at most {MAX_ITEMS}.")).with("max", MAX_ITEMS)
}

/// Scope names as the client sent them. They may be unknown, not allowed, or repeated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scopes(pub Vec<String>);

impl FieldValue for Scopes {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let scopes = Vec::<String>::parse(value)?;
        if scopes.len() > MAX_ITEMS {
            return Err(too_many().into());
        }
        Ok(Self(scopes))
    }
}

impl Scopes {
    pub fn deduplicated(self) -> Vec<String> {
        deduplicated(self.0)
    }
}

/// Keeps the first of equal values. Quadratic, for lists of at most [`MAX_ITEMS`].
pub(super) fn deduplicated<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut unique = Vec::with_capacity(values.len());
    for value in values {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    unique
}

/// Ids of keys as the client sent them. The response lists malformed ids as unknown.
#[derive(Clone, Debug)]
pub struct KeyIds(pub Vec<String>);

impl FieldValue for KeyIds {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        // The response repeats unknown ids.
        let ids = Vec::<BoundedText<64>>::parse(value)?;
        if ids.is_empty() {
            return Err(Invalid::new(FieldCode::TooShort, "Give at least 1 id.")
                .with("min", 1)
                .into());
        }
        if ids.len() > MAX_ITEMS {
            return Err(too_many().into());
        }
        Ok(Self(ids.into_iter().map(BoundedText::into_string).collect()))
    }
}

string_enum! {
    /// Order of a list of keys. `-created_at`: newest first. `created_at`: oldest first. `name`: by name,
    /// case-insensitive. `expires_at`: next to expire first. `last_used_at`: longest unused first. Keys without that
    /// time come last.
    pub enum Sort {
        NewestFirst "-created_at",
        OldestFirst "created_at",
        Name "name",
        ExpiresAt "expires_at",
        LastUsedAt "last_used_at",
    }
}

/// A number of days without bounds: the maximum is a setting.
pub type WholeDays = BoundedInt<{ i64::MIN }, { i64::MAX }>;

/// The expiry that a client requests.
#[derive(Clone, Copy, Debug)]
pub enum RequestedExpiry {
    Never,
    At(DateTime<Utc>),
    InDays(i64),
    /// The request names an instant and a number of days, which is an error.
    Both,
}

impl RequestedExpiry {
    pub fn new(expires_at: Option<Timestamp>, expires_in_days: Option<WholeDays>) -> Self {
        match (expires_at, expires_in_days) {
            (None, None) => Self::Never,
            (Some(Timestamp(at)), None) => Self::At(at),
            (None, Some(days)) => Self::InDays(days.get()),
            (Some(_), Some(_)) => Self::Both,
        }
    }

    fn peek(fields: &Fields) -> Self {
        if fields.has("expires_at") && fields.has("expires_in_days") {
            return Self::Both;
        }
        Self::new(
            fields.peek::<Option<Timestamp>>("expires_at").flatten(),
            fields.peek::<Option<WholeDays>>("expires_in_days").flatten(),
        )
    }

    /// The instant of expiry, which must lie after `now` and not after `latest`.
    pub fn resolve(self, now: DateTime<Utc>, latest: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Box<FieldError>> {
        let is_allowed = |at: &DateTime<Utc>| now < *at && *at <= latest;
        let (invalid, pointer) = match self {
            Self::Never => return Ok(None),
            Self::At(at) if is_allowed(&at) => return Ok(Some(at)),
            Self::At(_) => {
                let detail = format!("Must lie in the future, and not after {}.", Timestamp(latest));
                let invalid = Invalid::new(FieldCode::OutOfRange, detail);
                (invalid.with("max", Timestamp(latest).to_string()), "#/expires_at")
            }
            Self::InDays(days) => {
                let at = TimeDelta::try_days(days).and_then(|days| now.checked_add_signed(days));
                if let Some(at) = at.filter(is_allowed) {
                    return Ok(Some(at));
                }
                let max = (latest - now).num_days();
                let invalid = Invalid::new(FieldCode::OutOfRange, format!("Must be between 1 and {max}."));
                (invalid.with("min", 1).with("max", max), "#/expires_in_days")
            }
            Self::Both => {
                let detail = "Give expires_at or expires_in_days, not both.";
                (Invalid::new(FieldCode::NotAllowed, detail), "#/expires_in_days")
            }
        };
        Err(invalid.at(pointer).into())
    }
}

/// The organisation, scopes and expiry of a new key: the fields of a request that are checked against the caller, the
/// settings and each other.
#[derive(Clone, Debug)]
pub struct Grant {
    /// `None`: a personal key.
    pub org_id: Option<OrgId>,
    pub scopes: Vec<String>,
    pub expiry: RequestedExpiry,
}

impl Grant {
    /// Reads these fields and leaves them in place, so that the errors of these checks and of all other fields go into
    /// one response. A field that cannot be parsed counts as absent here; the later parsing reports it.
    ///
    /// # Errors
    /// `not_found` if `org_id` is not an id.
    pub fn peek(fields: &Fields) -> Result<Self, Error> {
        let org_id = fields.peek::<Option<IdRef<OrgId>>>("org_id").flatten();
        let Scopes(scopes) = fields.peek::<Option<Scopes>>("scopes").flatten().unwrap_or_default();
        Ok(Self {
            org_id: org_id.map(IdRef::id).transpose()?,
            scopes,
            expiry: RequestedExpiry::peek(fields),
        })
    }
}

/// A key to be created.
#[derive(Clone)]
pub struct NewApiKey {
    pub name: KeyName,
    pub grant: Grant,
    pub remark: Option<Remark>,
    pub allowed_ips: Vec<IpNet>,
}

/// A row of `api_keys`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::api_keys, check_for_backend(diesel::pg::Pg))]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub user_id: UserId,
    pub org_id: Option<OrgId>,
    /// The membership under which the key was created; null for a personal key, and once the membership has ended.
    pub membership_id: Option<MembershipId>,
    pub name: String,
    pub remark: Option<String>,
    pub hint: String,
    pub scopes: Vec<String>,
    pub allowed_ips: Vec<IpNet>,
    pub expires_at: Option<DateTime<Utc>>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub last_used_ip: Option<IpNet>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The columns of the owner that a response or the status of a key needs.
#[derive(Clone, Debug, Queryable)]
pub struct KeyOwner {
    pub username: Option<String>,
    pub nickname: Option<String>,
    pub role: PlatformRole,
    pub disabled_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Queryable)]
pub struct KeyOrg {
    pub name: String,
    pub slug: String,
}

/// The columns of the membership that the scopes of a key depend on.
#[derive(Clone, Debug, Queryable)]
pub struct KeyMembership {
    pub id: MembershipId,
    pub role: OrgRole,
    pub disabled_services: Vec<String>,
}

/// A key with everything its status and its effective scopes depend on.
#[derive(Clone, Debug)]
pub struct KeyDetails {
    pub key: ApiKey,
    pub owner: KeyOwner,
    pub org: Option<KeyOrg>,
    pub membership: Option<KeyMembership>,
    /// The end of the grace period of the previous secret, if it still works.
    pub previous_secret_ends_at: Option<DateTime<Utc>>,
}

impl KeyDetails {
    pub fn status(&self, now: DateTime<Utc>) -> (KeyStatus, Option<SuspensionReason>) {
        let state = KeyState {
            owner_disabled_at: self.owner.disabled_at,
            membership_lost: self.key.org_id.is_some() && self.membership.is_none(),
            disabled_at: self.key.disabled_at,
            expires_at: self.key.expires_at,
        };
        state.status(now)
    }

    pub fn scope_context(&self) -> ScopeContext<'_> {
        ScopeContext {
            platform_role: self.owner.role,
            org: org_context(self.key.org_id, self.membership.as_ref()),
        }
    }

    /// The scopes the key may use now, provided that it is active.
    pub fn effective_scopes(&self, catalog: &ScopeCatalog) -> Vec<String> {
        catalog.effective(&self.key.scopes, &self.scope_context())
    }

    /// Whether `scopes` contains one that the key does not have.
    pub fn is_widened_by(&self, scopes: &[String]) -> bool {
        scopes.iter().any(|scope| !self.key.scopes.contains(scope))
    }
}

/// The organisation a key acts in, given its `org_id` and the membership it was created under.
pub fn org_context(org_id: Option<OrgId>, membership: Option<&KeyMembership>) -> OrgContext<'_> {
    match membership {
        Some(membership) => OrgContext::Member {
            role: membership.role,
            disabled_services: &membership.disabled_services,
        },
        None if org_id.is_some() => OrgContext::Lost,
        None => OrgContext::Personal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_requested_expiry_lies_between_now_and_the_latest_expiry() {
        let now = Clock::system().now();
        let latest = now + TimeDelta::days(10);
        let second = TimeDelta::seconds(1);
        let resolve = |expiry: RequestedExpiry| expiry.resolve(now, latest).ok();
        assert_eq!(resolve(RequestedExpiry::Never), Some(None));
        assert_eq!(resolve(RequestedExpiry::At(now + second)), Some(Some(now + second)));
        assert_eq!(resolve(RequestedExpiry::At(latest)), Some(Some(latest)));
        assert_eq!(resolve(RequestedExpiry::InDays(10)), Some(Some(latest)));
        for refused in [
            RequestedExpiry::At(now),
            RequestedExpiry::At(latest + second),
            RequestedExpiry::InDays(0),
            RequestedExpiry::InDays(11),
            RequestedExpiry::InDays(i64::MAX),
            RequestedExpiry::InDays(i64::MIN),
            RequestedExpiry::Both,
        ] {
            assert_eq!(resolve(refused), None, "{refused:?}");
        }
    }
}
