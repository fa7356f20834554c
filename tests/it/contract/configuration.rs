//! The settings, `.env.example` and the command line.

use std::process::{Command, Stdio};

use keyward::cli::args::{self, ParseError};
use keyward::config::{Config, DEFAULT_ADMIN_BIND, settings};

fn parse(environment: &[(&str, &str)], arguments: &[&str]) -> Result<Config, String> {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let arguments = std::iter::once("keyward")
        .chain(arguments.iter().copied())
        .map(ToOwned::to_owned);
    args::parse(environment, arguments)
        .map(|command_line| command_line.config)
        .map_err(|error| match error {
            ParseError::Invalid(line) => line,
            ParseError::HelpOrVersion(text) => text.to_string(),
        })
}

/// An entry of `.env.example`: the comment above the variable, without the line breaks, the variable and its value.
fn example_entries() -> Vec<(String, &'static str, &'static str)> {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example"));
    let mut entries = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# ") {
            comment.push(line);
        } else if let Some((variable, value)) = line.trim_start_matches('#').split_once('=') {
            entries.push((comment.join(" "), variable, value.trim_matches('"')));
            comment.clear();
        } else {
            comment.clear();
        }
    }
    entries
}

#[test]
fn env_example_lists_every_setting_with_its_default_and_help_text() {
    let mut entries = example_entries();
    let derived = [
        (
            "KEYWARD_PUBLIC_URL",
            parse(&[], &[]).unwrap().public_url().as_str().to_owned(),
        ),
        ("KEYWARD_ADMIN_BIND", DEFAULT_ADMIN_BIND.to_string()),
        ("KEYWARD_DATA_DIR", "/var/lib/keyward".to_owned()),
    ];
    for setting in settings() {
        let variable = setting.variable;
        let position = entries
            .iter()
            .position(|(_, name, _)| *name == variable)
            .unwrap_or_else(|| panic!("{variable} is not in .env.example"));
        let (comment, _, value) = entries.remove(position);
        assert!(
            comment.contains(&setting.help),
            "{variable}: {comment}\n{}",
            setting.help
        );
        let default_of_unset = derived.iter().find(|(name, _)| *name == variable);
        let default = setting
            .default
            .or_else(|| default_of_unset.map(|(_, default)| default.clone()));
        assert_eq!(value, default.unwrap_or_default(), "{variable}");
    }
    let unknown: Vec<_> = entries.iter().map(|(_, variable, _)| variable).collect();
    assert!(unknown.is_empty(), "not a setting: {unknown:?}");
}

#[test]
fn the_values_in_env_example_are_valid() {
    let entries = example_entries();
    let environment: Vec<_> = entries.iter().map(|(_, variable, value)| (*variable, *value)).collect();
    parse(&environment, &[]).unwrap();
}

#[test]
fn a_flag_overrides_the_environment_and_an_empty_variable_is_not_set() {
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
fn an_invalid_value_is_reported_in_one_line_that_names_the_setting() {
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
        ("KEYWARD_MAX_CONNECTIONS", "15"),
        ("KEYWARD_NONSENSE", "1"),
        ("KEYWARD_SMTP_URL", "http://user:hunter2@mail"),
        ("KEYWARD_MAIL_FROM", "nobody"),
    ] {
        let line = parse(&[(name, value)], &[]).unwrap_err();
        assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn the_minimum_password_length_must_not_exceed_the_maximum() {
    let lengths = [
        ("KEYWARD_PASSWORD_MIN_LENGTH", "65"),
        ("KEYWARD_PASSWORD_MAX_LENGTH", "64"),
    ];
    let line = parse(&lengths, &[]).unwrap_err();
    assert!(line.starts_with("KEYWARD_PASSWORD_MIN_LENGTH: "), "{line}");
}

#[test]
fn an_invalid_argument_of_a_command_is_not_reported_as_a_setting() {
    let line = parse(
        &[],
        &[
            "user",
            "create",
            "--email",
            "a@example.com",
            "--username",
            "a",
            "--role",
            "king",
        ],
    )
    .unwrap_err();
    assert!(line.contains("--role") && !line.contains("KEYWARD_ROLE"), "{line}");
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
fn the_program_exits_with_one_line_about_the_invalid_setting() {
    let output = keyward(&["serve"]).env("KEYWARD_BIND", "nonsense").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        text.starts_with("keyward: KEYWARD_BIND: ") && text.trim_end().lines().count() == 1,
        "{text}"
    );
}

#[test]
fn the_openapi_document_is_printed_without_a_database() {
    let output = keyward(&["openapi"]).output().unwrap();
    assert!(output.status.success());
    let committed = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.trim_end() == committed.trim_end(),
        "run: cargo run -- openapi > openapi/openapi.json"
    );
}

#[test]
fn a_generated_signing_key_can_be_used() {
    let output = keyward(&["keys", "generate"]).output().unwrap();
    let pem = String::from_utf8(output.stdout).unwrap();
    keyward::auth::AccessTokens::new(&[pem], "https://a.example", "keyward", 600)
        .ok()
        .unwrap();
}
