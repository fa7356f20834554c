//! Who calls, and what they may do: identities, permissions, access tokens, passwords.
//!
//! `app::authenticate` turns a credential into an [`Identity`] and puts it into the request; a handler's first argument,
//! a [`Caller`], is the proof that this identity has the permission it names. This module knows no slice.

mod caller;
mod identity;
mod jwt;
mod memory;
mod password;
mod permission;
mod policy;
mod roles;
mod scopes;
mod standing;
mod throttle;
mod usage;

pub use caller::{Caller, OfSession};
pub use identity::{Acting, Authenticated, Credential, Identity};
pub use jwt::{AccessTokens, Claims, KeyError, generate_signing_key};
pub use memory::{KnownToken, Memory, Remembered};
pub use password::{Hasher, Password};
pub use permission::{
    Admin, AnyApiKey, AnyCredential, KeysRead, KeysVerify, MeRead, MeWrite, MembersRead, NotificationsRead, OrgsRead,
    Permission, Session, TokensIntrospect,
};
pub use policy::Policy;
pub use roles::{OrgRole, PlatformRole};
pub use scopes::{Catalogue, Holder, Place, Scope};
pub use standing::{KeyStanding, KeyState, KeyStatus, SessionStanding, SuspensionReason};
pub use throttle::{Account, Throttle, sweep as sweep_password_attempts};
pub use usage::{Count, Usage, Uses};
