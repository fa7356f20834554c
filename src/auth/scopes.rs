//! The catalogue of scopes: what API keys can be given, and what of it they may use now.
//!
//! Keyward's own scopes are fixed; the platform's come from the file named by `KEYWARD_SCOPES_FILE`. The catalogue is read
//! once, at the start. A key's scopes are only a wish: what it may do is computed at each use, from the role its owner has
//! then and the services that are switched off for them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::roles::{OrgRole, PlatformRole};

/// Most characters of a scope's name.
const MAX_NAME: usize = 100;
/// The service of Keyward's own scopes.
const OWN_SERVICE: &str = "keyward";

/// Something a key can be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its name, such as `data:read`.
    pub name: String,
    /// The service it is about.
    pub service: String,
    /// One sentence for people.
    pub description: String,
    /// The least role in the key's organisation; none where a personal key may have it too.
    pub min_role: Option<OrgRole>,
    /// Whether it takes a platform administrator.
    admin_only: bool,
}

/// On whose behalf something would be done.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// Their role on the platform.
    pub role: PlatformRole,
    /// Where they stand.
    pub place: Place<'a>,
}

/// Where somebody stands.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// In no organisation.
    Personal,
    /// In an organisation, as a member.
    Org {
        /// Their role there.
        role: OrgRole,
        /// The services they may not use there.
        disabled_services: &'a [String],
    },
    /// In an organisation that they are no longer a member of.
    Lost,
}

/// Every scope there is.
#[derive(Clone, Debug)]
pub struct ScopeCatalog {
    scopes: Vec<Scope>,
    by_name: HashMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    scope: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    service: String,
    description: String,
    min_role: Option<OrgRole>,
}

/// Keyward's own: name, meaning, whether only a platform administrator's key may have it.
const OWN: [(&str, &str, bool); 8] = [
    ("me:read", "See the owner's profile", false),
    ("me:write", "Change the owner's profile", false),
    ("keys:read", "See the owner's API keys", false),
    ("orgs:read", "See the owner's organisations", false),
    ("members:read", "See the members of the owner's organisations", false),
    ("notifications:read", "See the owner's notifications", false),
    ("keys:verify", "Ask whether an API key is good", true),
    ("tokens:introspect", "Ask about any credential", true),
];

impl ScopeCatalog {
    /// Keyward's own scopes and, behind them, those of the file.
    ///
    /// # Errors
    /// One line that names the setting and what is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let text = match file {
            None => String::new(),
            Some(path) => {
                fs::read_to_string(path).map_err(|error| format!("KEYWARD_SCOPES_FILE: {}: {error}", path.display()))?
            }
        };
        Self::parse(&text).map_err(|reason| {
            let path = file.map(|path| path.display().to_string()).unwrap_or_default();
            format!("KEYWARD_SCOPES_FILE: {path}: {reason}")
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                text.get(..span.start)
                    .map_or(1, |before| before.matches('\n').count() + 1)
            });
            let message = error.message().replace('\n', " ");
            line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
        })?;
        let own = OWN.iter().map(|(name, description, admin_only)| Scope {
            name: (*name).to_owned(),
            service: OWN_SERVICE.to_owned(),
            description: (*description).to_owned(),
            min_role: None,
            admin_only: *admin_only,
        });
        let listed = file.scope.into_iter().map(|entry| Scope {
            name: entry.name,
            service: entry.service,
            description: entry.description,
            min_role: entry.min_role,
            admin_only: false,
        });
        let mut catalogue = Self {
            scopes: Vec::new(),
            by_name: HashMap::new(),
        };
        for scope in own.chain(listed) {
            let name = &scope.name;
            if !is_scope_token(name) {
                return Err(format!(
                    "scope {name:?}: a name is 1 to {MAX_NAME} visible ASCII characters without quotes and backslashes"
                ));
            }
            if scope.service.is_empty() || scope.service.chars().any(char::is_control) {
                return Err(format!("scope {name:?}: service must not be empty"));
            }
            if catalogue.by_name.insert(name.clone(), catalogue.scopes.len()).is_some() {
                return Err(format!("scope {name:?}: there are two of this name"));
            }
            catalogue.scopes.push(scope);
        }
        Ok(catalogue)
    }

    /// Every scope, Keyward's own first.
    pub fn all(&self) -> &[Scope] {
        &self.scopes
    }

    /// Whether `holder` may do what the scope named `name` allows; never for one that is not in the catalogue.
    pub fn allows(&self, name: &str, holder: &Holder<'_>) -> bool {
        let Some(scope) = self.by_name.get(name).and_then(|index| self.scopes.get(*index)) else {
            return false;
        };
        if scope.admin_only && holder.role != PlatformRole::Admin {
            return false;
        }
        match holder.place {
            Place::Personal => scope.min_role.is_none(),
            Place::Lost => false,
            Place::Org {
                role,
                disabled_services,
            } => scope.min_role.is_none_or(|min| role >= min) && !disabled_services.contains(&scope.service),
        }
    }

    /// Those of `scopes` that `holder` may use now.
    pub fn effective(&self, scopes: &[String], holder: &Holder<'_>) -> Vec<String> {
        scopes
            .iter()
            .filter(|name| self.allows(name, holder))
            .cloned()
            .collect()
    }
}

/// A scope token of RFC 6749 §3.3.
fn is_scope_token(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[scope]]
        name = "data:read"
        service = "data"
        description = "Read data"

        [[scope]]
        name = "data:erase"
        service = "data"
        description = "Erase data"
        min_role = "admin"
    "#;

    fn holder(role: PlatformRole, place: Place<'_>) -> Holder<'_> {
        Holder { role, place }
    }

    #[test]
    fn what_a_scope_allows_follows_role_service_and_place() {
        let catalogue = ScopeCatalog::parse(FILE).unwrap();
        let none: &[String] = &[];
        let data = ["data".to_owned()];
        let org = |role, disabled_services| {
            holder(
                PlatformRole::User,
                Place::Org {
                    role,
                    disabled_services,
                },
            )
        };
        let personal = holder(PlatformRole::User, Place::Personal);
        assert!(catalogue.allows("data:read", &personal));
        assert!(!catalogue.allows("data:erase", &personal));
        assert!(!catalogue.allows("data:erase", &org(OrgRole::Member, none)));
        assert!(catalogue.allows("data:erase", &org(OrgRole::Admin, none)));
        assert!(catalogue.allows("data:erase", &org(OrgRole::Owner, none)));
        assert!(!catalogue.allows("data:read", &org(OrgRole::Owner, &data)));
        assert!(catalogue.allows("me:read", &org(OrgRole::Member, &data)));
        assert!(!catalogue.allows("me:read", &holder(PlatformRole::User, Place::Lost)));
        assert!(!catalogue.allows("keys:verify", &personal));
        assert!(catalogue.allows("keys:verify", &holder(PlatformRole::Admin, Place::Personal)));
        assert!(!catalogue.allows("other", &holder(PlatformRole::Admin, Place::Personal)));
    }

    #[test]
    fn a_wrong_file_is_told_in_one_line() {
        for (text, expected) in [
            ("[[scope]]\nname = 1", "line 2"),
            (
                "[[scope]]\nname = \"a\"\nservice = \"a\"\ndescription = \"\"\nmin_role = \"boss\"",
                "boss",
            ),
            (
                "[[scope]]\nname = \"a\"\nservice = \"a\"\ndescription = \"\"\nrole = \"admin\"",
                "role",
            ),
            ("[[scope]]\nname = \"a b\"\nservice = \"a\"\ndescription = \"\"", "a b"),
            (
                "[[scope]]\nname = \"me:read\"\nservice = \"a\"\ndescription = \"\"",
                "two",
            ),
            ("[[scope]]\nname = \"a\"", "service"),
        ] {
            let reason = ScopeCatalog::parse(text).unwrap_err();
            assert!(reason.contains(expected) && !reason.contains('\n'), "{reason}");
        }
        let reason = ScopeCatalog::load(Some(Path::new("/nowhere/scopes.toml"))).unwrap_err();
        assert!(
            reason.starts_with("KEYWARD_SCOPES_FILE: /nowhere/scopes.toml: "),
            "{reason}"
        );
    }
}
