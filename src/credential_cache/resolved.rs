//! The cached data of an API key or a session, and the checks that use it.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use crate::auth::{Credential, Principal};
use crate::values::ids::{ApiKeyId, MembershipId, OrgId, SessionId};
use crate::values::string_enum;

string_enum! {
    /// Status of an API key. `active`: the key can be used. `disabled`: its owner has disabled it. `expired`: it can be
    /// extended. `suspended`: see `status_reason`.
    pub enum KeyStatus {
        Active "active",
        Disabled "disabled",
        Expired "expired",
        Suspended "suspended",
    }
}

string_enum! {
    /// Reason for which an API key is suspended. `owner_disabled`: the owner's account is disabled. `not_a_member`: the
    /// membership under which the key was created has ended; this is permanent.
    pub enum SuspensionReason {
        OwnerDisabled "owner_disabled",
        NotAMember "not_a_member",
    }
}

/// Everything the status of a key depends on, besides the time.
#[derive(Clone, Copy, Debug)]
pub struct KeyState {
    pub owner_disabled_at: Option<DateTime<Utc>>,
    /// The key belongs to an organisation, and the membership under which it was created has ended.
    pub membership_lost: bool,
    pub disabled_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl KeyState {
    /// If several statuses apply, the most permanent one: a lost membership never comes back, an expiry can be
    /// extended.
    pub fn status(&self, now: DateTime<Utc>) -> (KeyStatus, Option<SuspensionReason>) {
        if self.membership_lost {
            (KeyStatus::Suspended, Some(SuspensionReason::NotAMember))
        } else if self.owner_disabled_at.is_some() {
            (KeyStatus::Suspended, Some(SuspensionReason::OwnerDisabled))
        } else if self.disabled_at.is_some() {
            (KeyStatus::Disabled, None)
        } else if self.expires_at.is_some_and(|at| at <= now) {
            (KeyStatus::Expired, None)
        } else {
            (KeyStatus::Active, None)
        }
    }
}

/// An API key, found by one of its secrets. It may be disabled, expired or suspended.
#[derive(Clone, Debug)]
pub struct ResolvedKey {
    pub id: ApiKeyId,
    /// The identity of a request with this key.
    pub principal: Arc<Principal>,
    pub name: String,
    pub org_slug: Option<String>,
    pub org_id: Option<OrgId>,
    /// The membership under which the key was created; `None` for a personal key, and once the membership has ended.
    pub membership_id: Option<MembershipId>,
    pub state: KeyState,
    /// The networks the key may be used from; empty: all.
    pub allowed_ips: Vec<IpNet>,
    pub created_at: DateTime<Utc>,
    /// The end of the grace period, if this is the previous secret of a rotated key.
    pub secret_ends_at: Option<DateTime<Utc>>,
}

impl ResolvedKey {
    /// Whether the secret is the current one, or within its grace period.
    pub fn is_secret_live(&self, now: DateTime<Utc>) -> bool {
        self.secret_ends_at.is_none_or(|at| now < at)
    }

    /// Whether the key may be used from this address. An unknown address passes only if the key has no list of
    /// networks.
    pub fn allows_ip(&self, ip: Option<IpAddr>) -> bool {
        self.allowed_ips.is_empty()
            || ip.is_some_and(|ip| {
                let ip = ip.to_canonical();
                self.allowed_ips.iter().any(|network| network.contains(&ip))
            })
    }

    /// The effective scopes.
    pub fn scopes(&self) -> &[String] {
        match &self.principal.credential {
            Credential::ApiKey { scopes, .. } => scopes,
            Credential::Session { .. } => &[],
        }
    }
}

/// A session, found by the claims of an access token. It was live when it was read.
#[derive(Clone, Debug)]
pub struct ResolvedSession {
    pub id: SessionId,
    /// The identity of a request in this session.
    pub principal: Arc<Principal>,
    /// The membership of the organisation the session acts in.
    pub membership_id: Option<MembershipId>,
    pub ends_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_most_permanent_reason_is_reported() {
        let now = crate::clock::Clock::system().now();
        let mut state = KeyState {
            owner_disabled_at: None,
            membership_lost: false,
            disabled_at: None,
            expires_at: Some(now + TimeDelta::milliseconds(1)),
        };
        assert_eq!(state.status(now), (KeyStatus::Active, None));
        state.expires_at = Some(now);
        assert_eq!(state.status(now), (KeyStatus::Expired, None));
        state.disabled_at = Some(now);
        assert_eq!(state.status(now), (KeyStatus::Disabled, None));
        state.owner_disabled_at = Some(now);
        assert_eq!(
            state.status(now),
            (KeyStatus::Suspended, Some(SuspensionReason::OwnerDisabled))
        );
        state.membership_lost = true;
        assert_eq!(
            state.status(now),
            (KeyStatus::Suspended, Some(SuspensionReason::NotAMember))
        );
    }
}
