//! Typed ids: UUID v7 (RFC 9562 §5.7), which sort by the time of their creation.
//!
//! Each resource has its own id type, so the compiler rejects the id of an organisation where the id of a user is expected.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

/// Ids of the same millisecond are in random order.
fn uuid_at(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

/// Accepts only the hyphenated form of RFC 9562 §4; the `uuid` crate accepts three more.
fn parse(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::parse_str(text).ok()).flatten()
}

pub trait Id: Sized {
    /// `None` for anything but a hyphenated UUID.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! ids {
    ($($(#[$doc:meta])+ $name:ident,)+) => {$(
        $(#[$doc])+
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, AsExpression, FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(uuid_at(now))
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl Id for $name {
            fn parse(text: &str) -> Option<Self> {
                parse(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromSql<diesel::sql_types::Uuid, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <Uuid as FromSql<diesel::sql_types::Uuid, Pg>>::from_sql(value).map(Self)
            }
        }

        impl ToSql<diesel::sql_types::Uuid, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <Uuid as ToSql<diesel::sql_types::Uuid, Pg>>::to_sql(&self.0, out)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
                let uuid = SchemaFormat::KnownFormat(KnownFormat::Uuid);
                ObjectBuilder::new().schema_type(Type::String).format(Some(uuid)).into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )+

        /// The OpenAPI schema of every id, by its name.
        pub fn schemas() -> Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)> {
            vec![$((stringify!($name).to_owned(), <$name as utoipa::PartialSchema>::schema())),+]
        }
    };
}

ids! {
    /// A user account.
    UserId,
    /// A registration whose e-mail address is not verified yet.
    RegistrationId,
    /// A session: from a login until logout, expiry or revocation.
    SessionId,
    /// The one-time token in a mailed link.
    OneTimeTokenId,
    /// A requested change of an account's e-mail address.
    EmailChangeId,
    /// An organisation.
    OrgId,
    /// The membership of a user in an organisation.
    MembershipId,
    /// An invitation to join an organisation.
    InvitationId,
    /// A request to join an organisation.
    JoinRequestId,
    /// An API key.
    ApiKeyId,
    /// A notification of a user.
    NotificationId,
    /// An e-mail in the outbox.
    MailId,
    /// A record of the audit log.
    AuditId,
    /// An avatar or a logo.
    ImageId,
}
