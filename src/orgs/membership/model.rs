//! A membership, and its form in responses.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::OrgRole;
use crate::error::{Code, Error};
use crate::notifications::Recipient;
use crate::users::User;
use crate::values::ids::{MembershipId, OrgId, UserId};
use crate::values::locale::Locale;

/// A user's membership in an organisation, with the organisation's name and slug.
#[derive(Clone, Debug, Queryable)]
pub struct Membership {
    pub id: MembershipId,
    pub org_id: OrgId,
    pub org_name: String,
    pub org_slug: String,
    pub role: OrgRole,
    /// Services of the platform that the user may not use in the organisation.
    pub disabled_services: Vec<String>,
}

impl Membership {
    pub fn summary(&self) -> OrgSummary {
        OrgSummary {
            id: self.org_id,
            name: self.org_name.clone(),
            slug: self.org_slug.clone(),
            role: self.role,
        }
    }
}

/// Whether a person may get the role. With their account locked, it can't be disabled before the commit.
///
/// # Errors
/// `invalid_state` for the role `owner` and a disabled account: each organisation needs an owner who can act.
pub fn require_can_hold(role: OrgRole, user: &User) -> Result<(), Error> {
    if role == OrgRole::Owner && !user.can_act() {
        let detail = "This account is disabled, so it can't become an owner.";
        return Err(Error::with_detail(Code::InvalidState, detail));
    }
    Ok(())
}

/// An organisation and the caller's role in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrgSummary {
    /// Id of the organisation.
    pub id: OrgId,
    /// Name of the organisation.
    pub name: String,
    /// Unique short name of the organisation, in lower case.
    pub slug: String,
    /// The caller's role in the organisation.
    pub role: OrgRole,
}

/// The address and language to write to a member in.
#[derive(Clone, Debug, Queryable)]
pub struct Contact {
    pub user_id: UserId,
    pub email: String,
    pub locale: Locale,
}

impl<'a> From<&'a Contact> for Recipient<'a> {
    fn from(contact: &'a Contact) -> Self {
        Self {
            user_id: contact.user_id,
            email: &contact.email,
            locale: contact.locale,
        }
    }
}
