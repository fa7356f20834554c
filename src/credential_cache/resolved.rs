//! How credentials stand: what was last read of an API key or a session, and what follows from it at an instant.
//!
//! A standing may be some seconds old (see [`CredentialCache`](super::CredentialCache)); whatever time decides (expiry, the end of an old
//! secret) is therefore asked for at each use.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ipnet::IpNet;

use crate::auth::Principal;
use crate::values::ids::{ApiKeyId, MembershipId, OrgId, SessionId};
use crate::values::string_enum;

string_enum! {
    /// How an API key stands.
    pub enum KeyStatus {
        /// It works.
        Active "active",
        /// Its owner has switched it off.
        Disabled "disabled",
        /// Its time is over; it can be extended.
        Expired "expired",
        /// Its owner is disabled, or is no longer a member of its organisation.
        Suspended "suspended",
    }
}

string_enum! {
    /// Why an API key is suspended.
    pub enum SuspensionReason {
        /// Its owner's account is disabled.
        OwnerDisabled "owner_disabled",
        /// Its owner is no longer the member of the organisation who made it; that is for good.
        NotAMember "not_a_member",
    }
}

/// What the status of a key depends on.
#[derive(Clone, Copy, Debug)]
pub struct KeyState {
    /// When its owner's account was disabled.
    pub owner_disabled_at: Option<DateTime<Utc>>,
    /// Whether it acts in an organisation under a membership that is gone.
    pub membership_lost: bool,
    /// When it was switched off.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
}

impl KeyState {
    /// The status now. What lasts longest is said first.
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

/// An API key as it was found behind one of its secrets.
#[derive(Clone, Debug)]
pub struct ResolvedKey {
    /// The key.
    pub id: ApiKeyId,
    /// Who it acts for when it is good, and what it may do then.
    pub authenticated: Arc<Principal>,
    /// Its name.
    pub name: String,
    /// Its organisation's slug.
    pub org_slug: Option<String>,
    /// Its organisation, if it has one.
    pub org_id: Option<OrgId>,
    /// The membership it stands on.
    pub membership_id: Option<MembershipId>,
    /// What its status depends on.
    pub state: KeyState,
    /// Networks it may be used from; empty: all.
    pub allowed_ips: Vec<IpNet>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When this secret ends, if it is the old one of a rotation.
    pub secret_ends_at: Option<DateTime<Utc>>,
}

impl ResolvedKey {
    /// Whether the secret it was found by still is one of the key's.
    pub fn is_secret_live(&self, now: DateTime<Utc>) -> bool {
        self.secret_ends_at.is_none_or(|at| now < at)
    }

    /// Whether it may be used from `ip`; from an address that is not known, only without a list.
    pub fn admits(&self, ip: Option<IpAddr>) -> bool {
        self.allowed_ips.is_empty()
            || ip.is_some_and(|ip| {
                let ip = ip.to_canonical();
                self.allowed_ips.iter().any(|network| network.contains(&ip))
            })
    }

    /// What it may do while it is good.
    pub fn scopes(&self) -> &[String] {
        match &self.authenticated.credential {
            crate::auth::Credential::ApiKey { scopes, .. } => scopes,
            crate::auth::Credential::Session { .. } => &[],
        }
    }
}

/// A session as it was found behind the claims of an access token.
#[derive(Clone, Debug)]
pub struct ResolvedSession {
    /// The session.
    pub id: SessionId,
    /// Who it is while the session is live.
    pub authenticated: Arc<Principal>,
    /// The membership it stands on.
    pub membership_id: Option<MembershipId>,
    /// When it ends, if nothing happens.
    pub ends_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_reason_that_lasts_longest_is_told() {
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
