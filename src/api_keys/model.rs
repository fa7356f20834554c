//! What a key is, and the rules of its parts.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use crate::auth::{OrgContext, OrgRole, PlatformRole, ScopeCatalog, ScopeContext};
use crate::credential_cache::{KeyState, KeyStatus, SuspensionReason};
use crate::error::{FieldCode, Invalid};
use crate::values::ids::{ApiKeyId, MembershipId, OrgId, UserId};
use crate::values::{FieldValue, Invalids, clean_line, clean_text, string_enum};

/// Most keys of a person.
pub const MAX_KEYS: i64 = 100;
/// Most scopes of a key, and most networks in its list.
const MAX_ITEMS: usize = 100;

crate::text_type! {
    /// What a key is called.
    pub struct KeyName(1..=100) by clean_line, example "nightly export"
}

crate::text_type! {
    /// What its owner notes about a key.
    pub struct Remark(0..=500) by clean_text, example "Runs on the build machine"
}

crate::text_type! {
    /// What is looked for: an id, or a part of a name.
    pub struct Search(0..=200) by as_it_is
}

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule")]
fn as_it_is(text: String) -> Result<String, Invalid> {
    Ok(text)
}

fn too_many() -> Invalid {
    Invalid::new(FieldCode::TooLong, format!("Use at most {MAX_ITEMS}.")).with("max", MAX_ITEMS)
}

/// The scopes wished for, as they were given. Whether they may be had is for the catalogue to say.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scopes(pub Vec<String>);

impl FieldValue for Scopes {
    fn parse(value: Value) -> Result<Self, Invalids> {
        let all = Vec::<String>::parse(value)?;
        if all.len() > MAX_ITEMS {
            return Err(too_many().into());
        }
        Ok(Self(all))
    }
}

impl Scopes {
    /// Each once.
    pub fn deduplicated(self) -> Vec<String> {
        let mut each: Vec<String> = Vec::with_capacity(self.0.len());
        for scope in self.0 {
            if !each.contains(&scope) {
                each.push(scope);
            }
        }
        each
    }
}

/// Networks a key may be used from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AllowedIps(pub Vec<IpNet>);

struct Network(IpNet);

impl FieldValue for Network {
    fn parse(value: Value) -> Result<Self, Invalids> {
        let text = String::parse(value)?;
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                Invalid::new(
                    FieldCode::InvalidFormat,
                    "Use CIDR notation, such as 203.0.113.0/24 or 2001:db8::/32.",
                )
            })?;
        Ok(Self(canonical(network)))
    }
}

/// Without host bits; IPv4 networks in IPv6 clothes (RFC 4291 §2.5.5.2) are IPv4 networks.
fn canonical(network: IpNet) -> IpNet {
    let plain = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok())
            .map_or(network, IpNet::V4),
        _ => network,
    };
    plain.trunc()
}

impl FieldValue for AllowedIps {
    fn parse(value: Value) -> Result<Self, Invalids> {
        let all = Vec::<Network>::parse(value)?;
        if all.len() > MAX_ITEMS {
            return Err(too_many().into());
        }
        let mut each: Vec<IpNet> = Vec::with_capacity(all.len());
        for Network(network) in all {
            if !each.contains(&network) {
                each.push(network);
            }
        }
        Ok(Self(each))
    }
}

/// A network address in a body.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub IpAddr);

impl FieldValue for Address {
    fn parse(value: Value) -> Result<Self, Invalids> {
        let text = String::parse(value)?;
        text.parse::<IpAddr>()
            .map(|ip| Self(ip.to_canonical()))
            .map_err(|_| Invalid::new(FieldCode::InvalidFormat, "Use an IPv4 or IPv6 address.").into())
    }
}

/// Ids to delete, as they were written.
#[derive(Clone, Debug)]
pub struct KeyIds(pub Vec<String>);

impl FieldValue for KeyIds {
    fn parse(value: Value) -> Result<Self, Invalids> {
        let all = Vec::<String>::parse(value)?;
        if all.is_empty() {
            return Err(Invalid::new(FieldCode::TooShort, "Name at least 1.")
                .with("min", 1)
                .into());
        }
        if all.len() > MAX_ITEMS {
            return Err(too_many().into());
        }
        Ok(Self(all))
    }
}

string_enum! {
    /// The order of a list of keys; what has no such instant comes last.
    pub enum Sort {
        /// Newest first.
        NewestFirst "-created_at",
        /// Oldest first.
        OldestFirst "created_at",
        /// By name.
        Name "name",
        /// The next to expire first.
        ExpiresAt "expires_at",
        /// The longest unused first.
        LastUsedAt "last_used_at",
    }
}

/// A key, as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::api_keys, check_for_backend(diesel::pg::Pg))]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub user_id: UserId,
    pub org_id: Option<OrgId>,
    /// The membership it hangs on; null where that is lost.
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

/// Who a key acts for.
#[derive(Clone, Debug, Queryable)]
pub struct KeyOwner {
    pub username: Option<String>,
    pub nickname: Option<String>,
    pub role: String,
    pub disabled_at: Option<DateTime<Utc>>,
}

/// A key with all that its status and its scopes depend on.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    pub key: ApiKey,
    pub owner: KeyOwner,
    /// Name and slug of its organisation.
    pub org: Option<(String, String)>,
    /// Role and switched-off services of the membership it hangs on.
    pub membership: Option<(String, Vec<String>)>,
    /// When the old secret of a rotation ends.
    pub previous_secret_ends_at: Option<DateTime<Utc>>,
}

impl KeyRecord {
    /// How the key stands now.
    pub fn status(&self, now: DateTime<Utc>) -> (KeyStatus, Option<SuspensionReason>) {
        self.state().status(now)
    }

    /// What the status depends on.
    pub fn state(&self) -> KeyState {
        KeyState {
            owner_disabled_at: self.owner.disabled_at,
            membership_lost: self.key.org_id.is_some() && self.membership.is_none(),
            disabled_at: self.key.disabled_at,
            expires_at: self.key.expires_at,
        }
    }

    /// On whose behalf it acts.
    pub fn holder(&self) -> ScopeContext<'_> {
        holder(
            PlatformRole::stored(&self.owner.role),
            self.key.org_id.is_some(),
            self.membership
                .as_ref()
                .map(|(role, disabled_services)| (OrgRole::stored(role), disabled_services.as_slice())),
        )
    }

    /// What it may do now, given that it works.
    pub fn effective_scopes(&self, catalogue: &ScopeCatalog) -> Vec<String> {
        catalogue.effective(&self.key.scopes, &self.holder())
    }
}

/// On whose behalf a key acts: a person by themselves, or as a member of the key's organisation.
pub fn holder(role: PlatformRole, in_org: bool, membership: Option<(OrgRole, &[String])>) -> ScopeContext<'_> {
    let place = match membership {
        Some((role, disabled_services)) => OrgContext::Member {
            role,
            disabled_services,
        },
        None if in_org => OrgContext::Lost,
        None => OrgContext::Personal,
    };
    ScopeContext {
        platform_role: role,
        org: place,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn networks_are_kept_in_one_spelling() {
        let list = |value: Value| {
            AllowedIps::parse(value).map(|list| list.0.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            list(json!([
                "10.1.2.3/8",
                "203.0.113.7",
                "::ffff:10.0.0.0/104",
                "2001:DB8::1/32",
                "::1"
            ]))
            .unwrap(),
            ["10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32", "::1/128"]
        );
        for wrong in [
            json!(["10.0.0.0/33"]),
            json!(["10.0.0"]),
            json!([1]),
            json!("10.0.0.0/8"),
            json!(["localhost"]),
        ] {
            assert!(list(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(list(json!(vec!["10.0.0.0/8"; 101])).is_err());
    }
}
