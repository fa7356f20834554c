//! Settings, `.env.example`, and the command line.

use std::process::{Command, Stdio};

use keyward::config::{self, ConfigError, setting_names, variable_of};

fn parse(environment: &[(&str, &str)], arguments: &[&str]) -> Result<config::Config, String> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let arguments = std::iter::once("keyward")
        .chain(arguments.iter().copied())
        .map(ToOwned::to_owned);
    config::parse(environment, arguments)
        .map(|line| line.config)
        .map_err(|error| match error {
            ConfigError::Wrong(line) => line,
            ConfigError::Shown(text) => text.to_string(),
        })
}

#[test]
fn env_example_lists_every_setting_with_its_default() {
    let example = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example"));
    let settings = setting_names();
    for (flag, (default, _)) in &settings {
        let variable = variable_of(flag);
        let line = example
            .lines()
            .find(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{variable}=")))
            .unwrap_or_else(|| panic!("{variable} is not in .env.example"));
        let value = line.split_once('=').unwrap().1.trim_matches('"');
        if let Some(default) = default {
            assert_eq!(value, default, "{variable}");
        }
    }
    for line in example
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
    {
        let name = line.0;
        if name.starts_with("KEYWARD_")
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        {
            assert!(
                settings.keys().any(|flag| variable_of(flag) == name),
                "{name} is no setting"
            );
        }
    }
}

#[test]
fn flags_win_over_the_environment_and_an_empty_variable_is_unset() {
    let config = parse(
        &[("KEYWARD_BIND", "127.0.0.1:1"), ("KEYWARD_SMTP_URL", "")],
        &["--bind", "127.0.0.1:2"],
    )
    .unwrap();
    assert_eq!(config.bind.port(), 2);
    assert!(config.smtp_url.is_none());
    let config = parse(&[("KEYWARD_BIND", "127.0.0.1:1")], &["serve", "--bind=127.0.0.1:3"]).unwrap();
    assert_eq!(config.bind.port(), 3);
    assert_eq!(config.public_url().as_str(), "http://127.0.0.1:3");
}

#[test]
fn a_wrong_value_is_named_in_one_line() {
    for (name, value) in [
        ("KEYWARD_BIND", "nonsense"),
        ("KEYWARD_PUBLIC_URL", "ftp://x"),
        ("KEYWARD_BASE_PATH", "x"),
        ("KEYWARD_RATE_LIMITS", "maybe"),
        ("KEYWARD_PASSWORD_MIN_STRENGTH", "5"),
        ("KEYWARD_PASSWORD_CLASSES", "runes"),
        ("KEYWARD_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("KEYWARD_CORS_ORIGINS", "*"),
        ("KEYWARD_KEY_PREFIX", "k_w"),
        ("KEYWARD_ACCESS_TOKEN_SECONDS", "1"),
        ("KEYWARD_NONSENSE", "1"),
        ("KEYWARD_SMTP_URL", "http://user:hunter2@mail"),
        ("KEYWARD_MAIL_FROM", "nobody"),
    ] {
        let line = parse(&[(name, value)], &[]).unwrap_err();
        assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

fn keyward(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    command
        .args(arguments)
        .env_clear()
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null());
    command
}

#[test]
fn the_program_stops_with_one_line_about_what_is_wrong() {
    let output = keyward(&["serve"]).env("KEYWARD_BIND", "nonsense").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        text.starts_with("keyward: KEYWARD_BIND: ") && text.trim_end().lines().count() == 1,
        "{text}"
    );
}

#[test]
fn the_document_is_printed_without_a_database() {
    let output = keyward(&["openapi"]).output().unwrap();
    assert!(output.status.success());
    let kept = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.trim_end() == kept.trim_end(),
        "run: cargo run -- openapi > openapi/openapi.json"
    );
}

#[test]
fn a_generated_key_is_one_that_can_be_used() {
    let output = keyward(&["keys", "generate"]).output().unwrap();
    let pem = String::from_utf8(output.stdout).unwrap();
    keyward::auth::AccessTokens::new(&[pem], "https://a.example", "keyward", 600)
        .ok()
        .unwrap();
}
