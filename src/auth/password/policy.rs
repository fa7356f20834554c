//! What a password must be (NIST SP 800-63B §3.1.1): long enough, not easily guessed; composition rules only where a
//! deployment asks for them.

use crate::config::{Config, PasswordClass};
use crate::error::{Error, FieldCode, Invalid};
use crate::values::code_points;

use super::Password;

/// The policy in force.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// Fewest code points.
    pub min_length: usize,
    /// Most code points.
    pub max_length: usize,
    /// Least strength by zxcvbn, 0 to 4.
    pub min_strength: u8,
    /// Character classes each of which must occur.
    pub required_classes: Vec<PasswordClass>,
}

/// Words too short to be worth a penalty.
const SHORTEST_WORD: usize = 3;

impl PasswordPolicy {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        Self {
            min_length: config.password_min_length as usize,
            max_length: config.password_max_length as usize,
            min_strength: config.password_min_strength,
            required_classes: config.password_classes.clone(),
        }
    }

    /// Refuses what [`PasswordPolicy::judge`] finds fault with.
    ///
    /// # Errors
    /// `validation_error` at `pointer`, with every problem.
    pub fn require(&self, password: &Password, personal: &[&str], pointer: &str) -> Result<(), Error> {
        let (_, problems) = self.judge(password, personal);
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::validation(
            problems.into_iter().map(|problem| problem.at(pointer)).collect(),
        ))
    }

    /// Strength by zxcvbn, 0 to 4, and all that is wrong. `personal` is what an attacker would try first: the person's
    /// address, names, and so on.
    pub fn judge(&self, password: &Password, personal: &[&str]) -> (u8, Vec<Invalid>) {
        let text = password.expose();
        let mut words = vec!["keyward".to_owned()];
        for word in personal {
            let word = word.to_lowercase();
            words.extend(word.split(|c: char| !c.is_alphanumeric()).map(ToOwned::to_owned));
            words.push(word);
        }
        words.retain(|word| code_points(word) >= SHORTEST_WORD);
        let inputs: Vec<&str> = words.iter().map(String::as_str).collect();
        let strength = u8::from(zxcvbn::zxcvbn(text, &inputs).score());
        let mut problems = Vec::new();
        if let Err(problem) = crate::values::check_length(text, self.min_length, self.max_length) {
            problems.push(problem);
        }
        // zxcvbn makes little of such words, but adds up what joins them: they must not be most of the password.
        let lower = text.to_lowercase();
        let rest = words.iter().fold(lower.clone(), |rest, word| rest.replace(word, ""));
        let leans = rest != lower && code_points(&rest) < self.min_length / 2;
        if leans || (strength < self.min_strength && rest != lower) {
            problems.push(Invalid::new(
                FieldCode::ContainsUserInfo,
                "It leans on your name, your address or the name of this service.",
            ));
        } else if strength < self.min_strength {
            let detail = "It is too easily guessed. Use several unrelated words, or a password manager.";
            problems.push(
                Invalid::new(FieldCode::TooWeak, detail)
                    .with("strength", strength)
                    .with("min_strength", self.min_strength),
            );
        }
        let missing: Vec<&str> = self
            .required_classes
            .iter()
            .filter(|class| !has_class(text, **class))
            .map(|class| class.as_str())
            .collect();
        if !missing.is_empty() {
            let detail = format!("It needs characters of these kinds: {}.", missing.join(", "));
            problems.push(Invalid::new(FieldCode::TooWeak, detail).with("missing_classes", missing));
        }
        (strength, problems)
    }
}

fn has_class(text: &str, class: PasswordClass) -> bool {
    text.chars().any(|c| match class {
        PasswordClass::Lower => c.is_lowercase(),
        PasswordClass::Upper => c.is_uppercase(),
        PasswordClass::Digit => c.is_numeric(),
        PasswordClass::Symbol => !c.is_alphanumeric(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, classes: Vec<PasswordClass>) -> Vec<FieldCode> {
        let policy = PasswordPolicy {
            min_length: 12,
            max_length: 64,
            min_strength: 3,
            required_classes: classes,
        };
        let password = Password::try_from(text.to_owned()).ok().unwrap();
        let (_, problems) = policy.judge(&password, &["ada.lovelace@example.com", "Countess"]);
        problems.into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn each_rule_has_its_own_code() {
        assert_eq!(judge("plum-rocket-tundra-fiddle", vec![]), []);
        assert_eq!(judge("x9$kQ!z", vec![]), [FieldCode::TooShort, FieldCode::TooWeak]);
        assert_eq!(judge("passwordpassword", vec![]), [FieldCode::TooWeak]);
        assert_eq!(judge("lovelace1815!", vec![]), [FieldCode::ContainsUserInfo]);
        assert_eq!(judge("keyward-keyward", vec![]), [FieldCode::ContainsUserInfo]);
        assert_eq!(judge("ada-plum-rocket-tundra", vec![]), []);
        assert_eq!(judge(&"plum-rocket-tundra".repeat(4), vec![]), [FieldCode::TooLong]);
        assert_eq!(judge("plum-rocket-tundra-fiddle", vec![PasswordClass::Symbol]), []);
        assert_eq!(
            judge(
                "plum-rocket-tundra-fiddle",
                vec![PasswordClass::Upper, PasswordClass::Digit]
            ),
            [FieldCode::TooWeak]
        );
    }

    #[test]
    fn length_is_counted_in_code_points_after_nfkc() {
        // Twelve ligatures, each of which NFKC makes three characters.
        let ligatures = Password::try_from("\u{fb03}".repeat(4)).ok().unwrap();
        assert_eq!(code_points(ligatures.expose()), 12);
    }
}
