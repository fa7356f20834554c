//! Roles: on the platform, and in an organisation.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{FieldCode, Invalid};
use crate::http::{Invalids, Member};

macro_rules! roles {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every role, the least first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in JSON and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The role of a word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|role| role.as_str() == word)
            }

            /// The role of a stored word; the least for one this version does not know.
            pub fn stored(word: &str) -> Self {
                Self::parse(word).unwrap_or(const { Self::ALL[0] })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Member for $name {
            fn parse(value: Value) -> Result<Self, Invalids> {
                let word = String::parse(value)?;
                $name::parse(&word).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|role| role.as_str()).collect();
                    let detail = format!("Must be one of {}.", words.join(", "));
                    Invalid::new(FieldCode::NotAllowed, detail).with("allowed", words).into()
                })
            }
        }
    };
}

roles! {
    /// A person's role on the platform.
    PlatformRole {
        /// Everybody.
        User "user",
        /// Who administrates the platform.
        Admin "admin",
    }
}

roles! {
    /// A member's role in an organisation; a greater one may all that a lesser one may.
    OrgRole {
        /// Works there.
        Member "member",
        /// Runs it day by day: members, invitations, requests, keys.
        Admin "admin",
        /// Owns it; there is always at least one.
        Owner "owner",
    }
}
