//! The permission table: what a handler can demand of its caller, by name.

/// Which kinds of credential a permission can be had with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sessions only.
    Session,
    /// Sessions, and API keys with the scope.
    Either,
    /// API keys only.
    ApiKey,
}

/// Something a caller may be allowed to do.
pub trait Permission: 'static {
    /// With what.
    const KIND: Kind;
    /// The scope an API key needs.
    const SCOPE: Option<&'static str> = None;
    /// Whether it takes a platform administrator.
    const ADMIN: bool = false;
}

macro_rules! permissions {
    ($($(#[$doc:meta])+ $name:ident: $kind:ident $(, scope $scope:literal)? $(, admin $admin:literal)?;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Permission for $name {
            const KIND: Kind = Kind::$kind;
            $(const SCOPE: Option<&'static str> = Some($scope);)?
            $(const ADMIN: bool = $admin;)?
        }
    )+};
}

permissions! {
    /// Whatever only a person in a session may do.
    Session: Session;
    /// Administration of the platform.
    Admin: Session, admin true;
    /// What any API key may do with itself.
    AnyApiKey: ApiKey;
    /// What anybody may do who is somebody.
    AnyCredential: Either;
    /// See one's own profile.
    MeRead: Either, scope "me:read";
    /// Change one's own profile.
    MeWrite: Either, scope "me:write";
    /// See one's own API keys.
    KeysRead: Either, scope "keys:read";
    /// See one's organisations.
    OrgsRead: Either, scope "orgs:read";
    /// See the members of one's organisations.
    MembersRead: Either, scope "members:read";
    /// See one's notifications.
    NotificationsRead: Either, scope "notifications:read";
    /// Ask whether an API key is good.
    KeysVerify: ApiKey, scope "keys:verify";
    /// Ask about any credential (RFC 7662).
    TokensIntrospect: ApiKey, scope "tokens:introspect";
}
