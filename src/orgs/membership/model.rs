//! A stay, and how an answer shows it.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{ActiveOrg, OrgRole};
use crate::values::ids::{MembershipId, OrgId};

/// A person's stay in an organisation.
#[derive(Clone, Debug, Queryable)]
pub struct Membership {
    /// The stay.
    pub id: MembershipId,
    /// The organisation.
    pub org_id: OrgId,
    /// What the organisation is called.
    pub org_name: String,
    /// How its address is spelt.
    pub org_slug: String,
    role: String,
    /// Services of the platform that the person may not use there.
    pub disabled_services: Vec<String>,
}

impl Membership {
    /// The person's role there.
    pub fn role(&self) -> OrgRole {
        OrgRole::stored(&self.role)
    }

    /// As part of an identity.
    pub fn acting(&self) -> ActiveOrg {
        ActiveOrg {
            org_id: self.org_id,
            role: self.role(),
        }
    }

    /// As part of an answer.
    pub fn summary(&self) -> OrgSummary {
        OrgSummary {
            id: self.org_id,
            name: self.org_name.clone(),
            slug: self.org_slug.clone(),
            role: self.role(),
        }
    }
}

/// An organisation, as one of its members sees it in passing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrgSummary {
    /// The organisation.
    pub id: OrgId,
    /// Its name.
    pub name: String,
    /// Its unique short name.
    pub slug: String,
    /// The caller's role in it.
    pub role: OrgRole,
}
