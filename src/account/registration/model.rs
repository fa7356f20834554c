//! A registration that waits for the verification of its e-mail address.

use chrono::TimeDelta;
use diesel::prelude::*;

use crate::notifications::Link;
use crate::values::ids::{RegistrationId, UserId};
use crate::values::locale::Locale;

/// How long a registration and its link are valid, from when the link was last mailed.
pub const LIFETIME: TimeDelta = Link::VerifyEmail.lifetime();

/// A row of the table `registrations`.
#[derive(Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::registrations, check_for_backend(diesel::pg::Pg))]
pub struct Registration {
    pub id: RegistrationId,
    pub email: String,
    pub password_hash: String,
    pub nickname: Option<String>,
    pub locale: Locale,
    /// The account, if an operator created it together with this registration.
    pub user_id: Option<UserId>,
}
