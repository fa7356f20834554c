//! The permissions that a handler can require of its caller.

/// The kind of credential that a permission needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Session,
    /// A session, or an API key with the scope of the permission.
    Either,
    ApiKey,
}

/// The type argument of a [`Caller`](super::Caller).
pub trait Permission: Send + Sync + 'static {
    const KIND: Kind;
    /// The scope that an API key needs.
    const SCOPE: Option<&'static str> = None;
    /// Whether the user must be a platform admin.
    const ADMIN: bool = false;
    /// Whether the rate limit of changes applies to requests that are not GET.
    const COUNTED: bool = true;
}

macro_rules! permissions {
    ($($(#[$doc:meta])+ $name:ident: $kind:ident $(, scope $scope:literal)? $(, admin $admin:literal)? $(, counted $counted:literal)?;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Permission for $name {
            const KIND: Kind = Kind::$kind;
            $(const SCOPE: Option<&'static str> = Some($scope);)?
            $(const ADMIN: bool = $admin;)?
            $(const COUNTED: bool = $counted;)?
        }
    )+};
}

permissions! {
    /// Any session.
    Session: Session;
    /// Any session, to end it or others: a thief of a session must not be able to prevent this by using the limit up.
    EndSessions: Session, counted false;
    /// A session of a platform admin.
    Admin: Session, admin true;
    /// Any API key, whatever its scopes.
    AnyApiKey: ApiKey;
    /// Any session or API key, to check the request that a gateway describes.
    AnyCredential: Either, counted false;
    /// Read the caller's own profile.
    MeRead: Either, scope "me:read";
    /// Change the caller's own profile.
    MeWrite: Either, scope "me:write";
    /// List the caller's own API keys.
    KeysRead: Either, scope "keys:read";
    /// List the caller's own organisations.
    OrgsRead: Either, scope "orgs:read";
    /// List the members of the caller's own organisations.
    MembersRead: Either, scope "members:read";
    /// Read the caller's own notifications.
    NotificationsRead: Either, scope "notifications:read";
    /// Verify API keys of others.
    KeysVerify: ApiKey, scope "keys:verify", counted false;
    /// Introspect credentials of others (RFC 7662).
    TokensIntrospect: ApiKey, scope "tokens:introspect", counted false;
}
