//! Who calls, and what they may do: identities, permissions, access tokens, passwords.
//!
//! `app::authenticate` turns a credential into an [`Identity`] and puts it into the request; a handler's first argument,
//! a [`Caller`], is the proof that this identity has the permission it names. This module knows no slice.

mod access_token;
mod caller;
mod key_usage;
mod password;
mod permission;
mod principal;
mod roles;
mod scopes;

pub use access_token::{AccessTokens, Claims, KeyError, generate_signing_key};
pub use caller::{Caller, OfSession};
pub use key_usage::{DayCount, KeyUsage, LastUse, PendingUsage};
pub use password::{Password, PasswordHasher, PasswordPolicy, Throttle, ThrottleKey, sweep_password_attempts};
pub use permission::{
    Admin, AnyApiKey, AnyCredential, KeysRead, KeysVerify, MeRead, MeWrite, MembersRead, NotificationsRead, OrgsRead,
    Permission, Session, TokensIntrospect,
};
pub use principal::{ActiveOrg, Credential, Identity, Principal};
pub use roles::{OrgRole, PlatformRole};
pub use scopes::{OrgContext, Scope, ScopeCatalog, ScopeContext};
