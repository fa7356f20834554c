//! A member of an organisation.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use utoipa::IntoParams;

use crate::auth::OrgRole;
use crate::error::{Code, Error, FieldCode, Invalid};
use crate::notifications::Recipient;
use crate::orgs::Person;
use crate::orgs::membership::require_can_hold;
use crate::request_type;
use crate::users::User;
use crate::values::ids::MembershipId;
use crate::values::locale::Locale;

/// A membership with its user.
#[derive(Clone, Debug, Queryable)]
pub struct Member {
    pub membership_id: MembershipId,
    pub person: Person,
    pub role: OrgRole,
    pub disabled_services: Vec<String>,
    pub joined_at: DateTime<Utc>,
    /// Grows with each change; the entity tag.
    pub version: i64,
    pub email: String,
    pub locale: Locale,
}

impl Member {
    /// The name in the audit log.
    pub fn audit_name(&self) -> Option<&str> {
        self.person.username.as_deref().or(self.person.nickname.as_deref())
    }
}

impl<'a> From<&'a Member> for Recipient<'a> {
    fn from(member: &'a Member) -> Self {
        Self {
            user_id: member.person.id,
            email: &member.email,
            locale: member.locale,
        }
    }
}

/// Whether a platform administrator may make `new_owner` an owner of the organisation that has these owners.
///
/// # Errors
/// `invalid_state` when one of the owners can act, or `new_owner` cannot: a disabled account can't.
pub fn check_appointment(owners: &[&User], new_owner: &User) -> Result<(), Error> {
    if owners.iter().any(|owner| owner.can_act()) {
        let detail = "This organisation has an owner who can act.";
        return Err(Error::with_detail(Code::InvalidState, detail));
    }
    require_can_hold(OrgRole::Owner, new_owner)
}

request_type! {
    /// Filters of the list.
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    pub struct MemberFilter {
        /// Part of the username or nickname, compared case-insensitively. `%` and `_` have no special meaning.
        #[param(required = false, nullable = false)]
        pub q: Option<String>,
        /// Only members with this role.
        #[param(required = false, nullable = false)]
        pub role: Option<OrgRole>,
    }
}

fn service_name(text: String) -> Result<String, Invalid> {
    let is_valid = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b));
    if is_valid || text.is_empty() {
        Ok(text)
    } else {
        Err(Invalid::new(
            FieldCode::InvalidFormat,
            "Use the name of a service that GET /scopes lists.",
        ))
    }
}

crate::text_type! {
    /// The name of a service of the platform; `GET /scopes` lists the services.
    pub struct ServiceName(1..=100) by service_name, example "data"
}
