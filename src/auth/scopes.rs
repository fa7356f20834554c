//! The scope catalog: every scope an API key can be granted, and the rule that decides whether a granted scope is
//! effective.
//!
//! Keyward's own scopes are fixed; the platform's come from the TOML file named by `KEYWARD_SCOPES_FILE`, which is read
//! once, at startup. The scopes stored with a key are an upper bound. The effective scopes are computed whenever the
//! key is read from the database: from the owner's current role and from the services disabled for them in the key's
//! organisation.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::roles::{OrgRole, PlatformRole};

const MAX_NAME_LENGTH: usize = 100;
/// The `service` of Keyward's own scopes.
const OWN_SERVICE: &str = "keyward";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// For example `data:read`.
    pub name: String,
    /// The service the scope belongs to. A member for whom this service is disabled cannot use the scope.
    pub service: String,
    /// One sentence, for people who choose scopes.
    pub description: String,
    /// The lowest role in the key's organisation that may use the scope; `None`: personal keys may use it too.
    pub min_role: Option<OrgRole>,
    /// Only keys of platform admins may use the scope.
    admin_only: bool,
}

/// Everything besides the scope itself that decides whether it may be used.
#[derive(Clone, Copy, Debug)]
pub struct ScopeContext<'a> {
    pub platform_role: PlatformRole,
    pub org: OrgContext<'a>,
}

/// The organisation a credential acts in.
#[derive(Clone, Copy, Debug)]
pub enum OrgContext<'a> {
    /// None: a personal key, or a session outside any organisation.
    Personal,
    Member {
        role: OrgRole,
        /// The services that are disabled for this member.
        disabled_services: &'a [String],
    },
    /// The organisation of an API key whose owner is no longer a member.
    Lost,
}

#[derive(Clone, Debug)]
pub struct ScopeCatalog {
    scopes: Vec<Scope>,
    /// Index into `scopes`.
    by_name: HashMap<String, usize>,
}

/// The scopes file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopesFile {
    #[serde(default)]
    scope: Vec<ScopeTable>,
}

/// A `[[scope]]` table of the scopes file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeTable {
    name: String,
    service: String,
    description: String,
    min_role: Option<OrgRole>,
}

/// One of Keyward's own scopes. None of them depends on a role in an organisation.
struct OwnScope {
    name: &'static str,
    description: &'static str,
    admin_only: bool,
}

impl OwnScope {
    const fn for_everyone(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            admin_only: false,
        }
    }

    const fn for_admins(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            admin_only: true,
        }
    }
}

const OWN_SCOPES: [OwnScope; 8] = [
    OwnScope::for_everyone("me:read", "Read the owner's profile"),
    OwnScope::for_everyone("me:write", "Change the owner's profile"),
    OwnScope::for_everyone("keys:read", "List and read the owner's API keys"),
    OwnScope::for_everyone("orgs:read", "List and read the owner's organisations"),
    OwnScope::for_everyone("members:read", "List the members of the owner's organisations"),
    OwnScope::for_everyone("notifications:read", "Read the owner's notifications"),
    OwnScope::for_admins("keys:verify", "Verify any API key"),
    OwnScope::for_admins("tokens:introspect", "Introspect any access token or API key"),
];

impl ScopeCatalog {
    /// Keyward's own scopes, followed by those of the file.
    ///
    /// # Errors
    /// One line that names the setting, the file and the mistake.
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
        let file: ScopesFile = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                text.get(..span.start)
                    .map_or(1, |before| before.matches('\n').count() + 1)
            });
            let message = error.message().replace('\n', " ");
            line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
        })?;
        let own = OWN_SCOPES.iter().map(|scope| Scope {
            name: scope.name.to_owned(),
            service: OWN_SERVICE.to_owned(),
            description: scope.description.to_owned(),
            min_role: None,
            admin_only: scope.admin_only,
        });
        let from_file = file.scope.into_iter().map(|table| Scope {
            name: table.name,
            service: table.service,
            description: table.description,
            min_role: table.min_role,
            admin_only: false,
        });
        let mut catalog = Self {
            scopes: Vec::new(),
            by_name: HashMap::new(),
        };
        for scope in own.chain(from_file) {
            let name = &scope.name;
            if !is_scope_token(name) {
                return Err(format!(
                    "scope {name:?}: a name is 1 to {MAX_NAME_LENGTH} visible ASCII characters without quotes and \
                     backslashes"
                ));
            }
            if scope.service.is_empty() || scope.service.chars().any(char::is_control) {
                return Err(format!("scope {name:?}: service must not be empty"));
            }
            if catalog.by_name.insert(name.clone(), catalog.scopes.len()).is_some() {
                return Err(format!("scope {name:?}: the name is used twice"));
            }
            catalog.scopes.push(scope);
        }
        Ok(catalog)
    }

    /// Every scope, Keyward's own first.
    pub fn all(&self) -> &[Scope] {
        &self.scopes
    }

    /// Whether the scope may be used in this context. False for a scope that is not in the catalog.
    pub fn allows(&self, name: &str, context: &ScopeContext<'_>) -> bool {
        let Some(scope) = self.by_name.get(name).and_then(|index| self.scopes.get(*index)) else {
            return false;
        };
        if scope.admin_only && context.platform_role != PlatformRole::Admin {
            return false;
        }
        match context.org {
            OrgContext::Personal => scope.min_role.is_none(),
            OrgContext::Lost => false,
            OrgContext::Member {
                role,
                disabled_services,
            } => scope.min_role.is_none_or(|min| role >= min) && !disabled_services.contains(&scope.service),
        }
    }

    /// The scopes of `scopes` that may be used in this context.
    pub fn effective(&self, scopes: &[String], context: &ScopeContext<'_>) -> Vec<String> {
        scopes
            .iter()
            .filter(|name| self.allows(name, context))
            .cloned()
            .collect()
    }
}

/// A scope token of RFC 6749 §3.3.
fn is_scope_token(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
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

    fn context(platform_role: PlatformRole, org: OrgContext<'_>) -> ScopeContext<'_> {
        ScopeContext { platform_role, org }
    }

    #[test]
    fn a_scope_is_allowed_by_platform_role_org_role_and_service() {
        let catalog = ScopeCatalog::parse(FILE).unwrap();
        let none: &[String] = &[];
        let data = ["data".to_owned()];
        let org = |role, disabled_services| {
            context(
                PlatformRole::User,
                OrgContext::Member {
                    role,
                    disabled_services,
                },
            )
        };
        let personal = context(PlatformRole::User, OrgContext::Personal);
        let personal_admin = context(PlatformRole::Admin, OrgContext::Personal);
        assert!(catalog.allows("data:read", &personal));
        assert!(!catalog.allows("data:erase", &personal));
        assert!(!catalog.allows("data:erase", &org(OrgRole::Member, none)));
        assert!(catalog.allows("data:erase", &org(OrgRole::Admin, none)));
        assert!(catalog.allows("data:erase", &org(OrgRole::Owner, none)));
        assert!(!catalog.allows("data:read", &org(OrgRole::Owner, &data)));
        assert!(catalog.allows("me:read", &org(OrgRole::Member, &data)));
        assert!(!catalog.allows("me:read", &context(PlatformRole::User, OrgContext::Lost)));
        assert!(!catalog.allows("keys:verify", &personal));
        assert!(catalog.allows("keys:verify", &personal_admin));
        assert!(!catalog.allows("other", &personal_admin));
    }

    #[test]
    fn a_mistake_in_the_file_is_reported_in_one_line() {
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
                "twice",
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
