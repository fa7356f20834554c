//! Authentication and authorization: principals, permissions, access tokens, passwords.
//!
//! `app::authenticate` resolves the credential of a request to an [`Identity`] and stores it in the request. A handler takes
//! a [`Caller`] as its first argument; it can only be extracted from an identity that has the permission it names. This
//! module uses no slice.

mod access_token;
mod caller;
mod change;
mod key_usage;
mod password;
mod permission;
mod principal;
mod refused_requests;
mod roles;
mod scopes;

pub use access_token::{AccessTokens, Claims, KeyError, TokenSubject, generate_signing_key};
pub use caller::{Caller, OfSession, incorrect_password};
pub use change::{Locking, Recheck, Rechecked};
pub use key_usage::{DayCount, KeyUsage, LastUse, PendingUsage};
pub use password::{
    AttemptId, PASSWORD_ATTEMPTS_SWEEP, Password, PasswordHasher, PasswordPolicy, PasswordRules, SALT_BYTES, Throttle,
    ThrottleKey,
};
pub use permission::{
    Admin, AnyApiKey, AnyCredential, EndSessions, KeysRead, KeysVerify, MeRead, MeWrite, MembersRead,
    NotificationsRead, OrgsRead, Permission, Session, TokensIntrospect,
};
pub use principal::{ActiveOrg, Credential, Identity, Principal};
pub use refused_requests::{RefusalCount, RefusedRequests};
pub use roles::{OrgRole, PlatformRole};
pub use scopes::{OrgContext, Scope, ScopeCatalog, ScopeContext};
