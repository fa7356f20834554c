//! Typed ids: UUID v7 (RFC 9562 §5.7), so that they sort by the instant they were made at.
//!
//! One type per thing, so that an organisation's id cannot be handed where a user's is wanted.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

/// A UUID v7 of the given instant; ids of the same millisecond are in no order.
fn uuid_at(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
}

/// The hyphenated form of RFC 9562 §4 and no other; `None` for anything else.
fn parse(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::parse_str(text).ok()).flatten()
}

/// What every typed id can do, for code that works with any of them.
pub trait Id: Sized {
    /// Reads the hyphenated form; `None` for anything that is not a UUID.
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
            /// A new id, made at `now`.
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(uuid_at(now))
            }

            /// The bare UUID.
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

        /// The schema of every id, by its name.
        pub fn schemas() -> Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)> {
            vec![$((stringify!($name).to_owned(), <$name as utoipa::PartialSchema>::schema())),+]
        }
    };
}

ids! {
    /// A person.
    UserId,
    /// A sign-up that awaits proof of its mailbox.
    RegistrationId,
    /// A log-in of a person, from its start to its end.
    SessionId,
    /// One link of a session's chain of refresh tokens.
    RefreshTokenId,
    /// A mailed link.
    OneTimeTokenId,
    /// A change of e-mail address, from request to confirmation or cancellation.
    EmailChangeId,
    /// An organisation.
    OrgId,
    /// One stay of a person in an organisation.
    MembershipId,
    /// An invitation into an organisation.
    InvitationId,
    /// A request to join an organisation.
    JoinRequestId,
    /// An API key.
    ApiKeyId,
    /// An entry of somebody's notification centre.
    NotificationId,
    /// A mail in the outbox.
    MailId,
    /// A record of the audit log.
    AuditId,
    /// An avatar or a logo.
    ImageId,
}
