//! The password policy, after NIST SP 800-63B §3.1.1: a minimum length and a minimum strength. Character classes are only
//! required if a deployment configures them.

use std::sync::Arc;
use std::time::Duration;

use super::Password;
use crate::blocking_pool::BlockingPool;
use crate::config::{Config, PasswordClass};
use crate::error::{Error, FieldCode, FieldError, Invalid};
use crate::values::code_points;

/// What a password must satisfy.
#[derive(Clone, Debug)]
pub struct PasswordRules {
    /// In code points.
    pub min_length: usize,
    /// In code points.
    pub max_length: usize,
    /// The zxcvbn score, 0 to 4.
    pub min_strength: u8,
    /// A password must contain a character of each of these classes.
    pub required_classes: Vec<PasswordClass>,
}

/// Shorter personal words are ignored: they occur in good passwords by chance.
const MIN_WORD_LENGTH: usize = 3;

/// zxcvbn itself looks at no more characters.
const MAX_JUDGED: usize = 100;
/// So many characters are judged of any password.
const MIN_JUDGED: usize = 32;
/// Characters that zxcvbn reads as a letter as well ("leet").
const SUBSTITUTES: &str = "4@8({[<3691!|70$5+%2";
/// zxcvbn searches its dictionaries once for each combination of letters that the substitutes in a password can stand for: up
/// to 50 times with 7 different ones, up to 800 with all of them. With both limits a password takes at most 60 ms, where 100
/// characters with all substitutes take 720.
const MAX_SUBSTITUTES: usize = 7;

/// Passwords that may wait to be judged: at 60 ms each, the last one waits for 2 s on one thread.
const MAX_QUEUED: usize = 32;
/// How long a password may wait to be judged.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of [`PasswordPolicy::assess`].
pub struct Assessment {
    /// The zxcvbn score, 0 to 4.
    pub strength: u8,
    /// Empty if the policy accepts the password.
    pub problems: Vec<Invalid>,
}

/// Judges passwords on threads of its own, at most half as many as there are cores: a flood of passwords leaves the
/// other half to everything else. Cheap to clone.
#[derive(Clone)]
pub struct PasswordPolicy {
    rules: Arc<PasswordRules>,
    pool: Arc<BlockingPool>,
}

impl PasswordPolicy {
    pub fn new(config: &Config) -> Self {
        let rules = PasswordRules {
            min_length: config.password_min_length as usize,
            max_length: config.password_max_length as usize,
            min_strength: config.password_min_strength,
            required_classes: config.password_classes.clone(),
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = cores.div_ceil(2);
        Self {
            rules: Arc::new(rules),
            pool: Arc::new(BlockingPool::new("strength", threads, MAX_QUEUED, QUEUE_TIMEOUT)),
        }
    }

    pub fn rules(&self) -> &PasswordRules {
        &self.rules
    }

    /// Every problem that [`PasswordPolicy::assess`] finds, at `pointer`.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn errors(
        &self,
        password: &Password,
        personal: &[&str],
        pointer: &str,
    ) -> Result<Vec<FieldError>, Error> {
        let problems = self.assess(password, personal).await?.problems;
        Ok(problems.into_iter().map(|problem| problem.at(pointer)).collect())
    }

    /// Computes the strength of a password and finds everything in it that violates the policy. `personal` are words that an
    /// attacker would try first: the user's e-mail address, names and so on.
    ///
    /// # Errors
    /// `unavailable` while too many passwords are judged.
    pub async fn assess(&self, password: &Password, personal: &[&str]) -> Result<Assessment, Error> {
        let (rules, password) = (Arc::clone(&self.rules), password.clone());
        let personal: Vec<String> = personal.iter().map(|word| word.to_lowercase()).collect();
        self.pool.run(move || Ok(rules.assess(&password, personal))).await
    }
}

impl PasswordRules {
    /// `personal` are words in lower case.
    fn assess(&self, password: &Password, personal: Vec<String>) -> Assessment {
        let text = password.expose();
        let mut words = vec!["keyward".to_owned()];
        for word in personal {
            words.extend(word.split(|c: char| !c.is_alphanumeric()).map(ToOwned::to_owned));
            words.push(word);
        }
        words.retain(|word| code_points(word) >= MIN_WORD_LENGTH);
        let inputs: Vec<&str> = words.iter().map(String::as_str).collect();
        let strength = u8::from(zxcvbn::zxcvbn(judged_part(text), &inputs).score());
        let mut problems = Vec::new();
        if let Err(problem) = crate::values::check_length(text, self.min_length, self.max_length) {
            problems.push(problem);
        }
        // zxcvbn gives a low score to each personal word, but adds a score for every separator between them. So at least
        // half of the minimum length must remain without them.
        let lower = text.to_lowercase();
        let rest = words.iter().fold(lower.clone(), |rest, word| rest.replace(word, ""));
        let has_personal_words = rest != lower;
        let is_mostly_personal = has_personal_words && code_points(&rest) < self.min_length / 2;
        if is_mostly_personal || (strength < self.min_strength && has_personal_words) {
            problems.push(Invalid::new(
                FieldCode::ContainsUserInfo,
                "The password contains your name, your e-mail address or the name of this service.",
            ));
        } else if strength < self.min_strength {
            let detail = "The password is too easy to guess. Use several unrelated words, or a password manager.";
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
            let detail = format!(
                "The password must contain a character of each of these classes: {}.",
                missing.join(", ")
            );
            problems.push(Invalid::new(FieldCode::TooWeak, detail).with("missing_classes", missing));
        }
        Assessment { strength, problems }
    }
}

/// The beginning of a password that zxcvbn can judge in bounded time. A password is at least as strong as its beginning, so no
/// weak one is accepted for what is left out.
fn judged_part(text: &str) -> &str {
    let mut substitutes = Vec::new();
    for (index, (offset, c)) in text.char_indices().enumerate() {
        if SUBSTITUTES.contains(c) && !substitutes.contains(&c) {
            substitutes.push(c);
        }
        if index >= MAX_JUDGED || (index >= MIN_JUDGED && substitutes.len() > MAX_SUBSTITUTES) {
            return text.split_at(offset).0;
        }
    }
    text
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

    fn problems(text: &str, classes: Vec<PasswordClass>) -> Vec<FieldCode> {
        let rules = PasswordRules {
            min_length: 12,
            max_length: 64,
            min_strength: 3,
            required_classes: classes,
        };
        let password = Password::try_from(text.to_owned()).ok().unwrap();
        let assessment = rules.assess(
            &password,
            vec!["ada.lovelace@example.com".to_owned(), "countess".to_owned()],
        );
        assessment.problems.into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn each_violation_has_its_own_code() {
        assert_eq!(problems("plum-rocket-tundra-fiddle", vec![]), []);
        assert_eq!(problems("x9$kQ!z", vec![]), [FieldCode::TooShort, FieldCode::TooWeak]);
        assert_eq!(problems("passwordpassword", vec![]), [FieldCode::TooWeak]);
        assert_eq!(problems("lovelace1815!", vec![]), [FieldCode::ContainsUserInfo]);
        assert_eq!(problems("keyward-keyward", vec![]), [FieldCode::ContainsUserInfo]);
        assert_eq!(problems("ada-plum-rocket-tundra", vec![]), []);
        assert_eq!(problems(&"plum-rocket-tundra".repeat(4), vec![]), [FieldCode::TooLong]);
        assert_eq!(problems("plum-rocket-tundra-fiddle", vec![PasswordClass::Symbol]), []);
        assert_eq!(
            problems(
                "plum-rocket-tundra-fiddle",
                vec![PasswordClass::Upper, PasswordClass::Digit]
            ),
            [FieldCode::TooWeak]
        );
    }

    #[test]
    fn length_is_counted_in_code_points_after_nfkc() {
        // Four ligatures; NFKC turns each into three characters.
        let ligatures = Password::try_from("\u{fb03}".repeat(4)).ok().unwrap();
        assert_eq!(code_points(ligatures.expose()), 12);
    }

    #[test]
    fn passwords_with_many_substitutes_are_judged_by_their_beginning() {
        let plain = "plum-rocket-tundra-fiddle".repeat(10);
        assert_eq!(code_points(judged_part(&plain)), MAX_JUDGED);
        assert_eq!(judged_part("short"), "short");
        let substitutes = SUBSTITUTES.repeat(10);
        assert_eq!(code_points(judged_part(&substitutes)), MIN_JUDGED);
        // As many as are cheap to judge don't shorten the part.
        let few: String = SUBSTITUTES.chars().take(MAX_SUBSTITUTES).cycle().take(200).collect();
        assert_eq!(code_points(judged_part(&few)), MAX_JUDGED);
        let late = format!("{}{SUBSTITUTES}", "\u{e9}".repeat(50));
        assert_eq!(code_points(judged_part(&late)), 50 + MAX_SUBSTITUTES);
    }
}
