//! Settings with a secret in them, or in a wrong place: no error and no log line contains it.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

use keyward::cli::args::{self, ParseError};
use keyward::config::settings;
use tempfile::TempDir;

const CANARY: &str = "CANARY-3f9a";

/// The settings whose values are secrets.
const SECRETS: [&str; 3] = ["DATABASE_URL", "KEYWARD_DB_LISTEN_URL", "KEYWARD_SMTP_URL"];

/// Ways in which a secret can be part of a value.
const VALUES: [&str; 8] = [
    "CANARY-3f9a",
    "\"CANARY-3f9a\"",
    "x': CANARY-3f9a",
    "postgres://user:CANARY-3f9a%@host/database",
    "postgres://user:pa@CANARY-3f9a@host/database",
    "mysql://user:CANARY-3f9a@host/database",
    "smtp://user:CANARY-3f9a@host:port",
    "https://user:CANARY-3f9a@host/?x",
];

fn keyward(arguments: &[&str], folder: &TempDir, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyward"))
        .args(arguments)
        .env_clear()
        .env("KEYWARD_DATA_DIR", folder.path())
        .envs(environment.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn assert_secret_is_hidden(output: &Output) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[track_caller]
fn assert_one_line(output: &Output, start: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        text.starts_with(start) && text.trim_end().lines().count() == 1,
        "{text}"
    );
}

#[test]
fn the_error_about_an_invalid_value_does_not_contain_it() {
    let mut refused = 0;
    for setting in settings() {
        for value in VALUES {
            let environment = [
                ("DATABASE_URL".to_owned(), "postgres://host".to_owned()),
                (setting.variable.clone(), value.to_owned()),
            ];
            match args::parse(environment, ["keyward".to_owned()]) {
                Ok(command_line) if SECRETS.contains(&setting.variable.as_str()) => {
                    let text = format!("{:?}", command_line.config);
                    assert!(!text.contains(CANARY), "{text}");
                }
                Ok(_) => {}
                Err(ParseError::Invalid(line)) => {
                    refused += 1;
                    assert!(line.starts_with(&setting.variable), "{line}");
                    assert!(!line.contains(CANARY) && !line.contains('\n'), "{line}");
                }
                Err(ParseError::HelpOrVersion(text)) => panic!("{text}"),
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn the_passwords_of_valid_urls_are_not_logged() {
    let folder = TempDir::new().unwrap();
    let log = ("KEYWARD_LOG", "trace");
    // Nothing listens on port 1.
    let url = format!("postgres://user:{CANARY}@127.0.0.1:1/database?application_name=test");
    let output = keyward(&["migrate"], &folder, &[("DATABASE_URL", &url), log]);
    assert!(!output.status.success());
    assert_secret_is_hidden(&output);
    let smtp_url = format!("smtp://user:{CANARY}@127.0.0.1:465");
    let generated = keyward(&["keys", "generate"], &folder, &[]).stdout;
    let pem = String::from_utf8(generated).unwrap();
    let (secret_file, key_file) = (folder.path().join("my-secret"), folder.path().join("my-key.pem"));
    std::fs::write(&secret_file, format!("{CANARY}-0123456789ABCDEFGHIJ")).unwrap();
    std::fs::write(&key_file, &pem).unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_keyward"))
        .env_clear()
        .envs([("DATABASE_URL", url.as_str()), ("KEYWARD_SMTP_URL", &smtp_url), log])
        .env("KEYWARD_DB_LISTEN_URL", &url)
        .envs([
            ("KEYWARD_SECRET_FILE", &secret_file),
            ("KEYWARD_SIGNING_KEYS", &key_file),
        ])
        .envs([("KEYWARD_BIND", "127.0.0.1:0"), ("KEYWARD_DRAIN_SECONDS", "0")])
        .env("KEYWARD_DATA_DIR", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = service.stderr.take().unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("cannot migrate the database") {
        let length = stderr.read(&mut buffer).unwrap();
        assert!(length > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    let pid = nix::unistd::Pid::from_raw(service.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    stderr.read_to_string(&mut text).unwrap();
    assert!(service.wait().unwrap().success());
    let private_key = pem.lines().nth(1).unwrap();
    assert!(!text.contains(CANARY) && !text.contains(private_key), "{text}");
    assert!(text.contains("KEYWARD_SMTP_URL: port 465 expects TLS"), "{text}");
}

#[test]
fn a_malformed_database_url_stops_every_command_with_one_line() {
    let folder = TempDir::new().unwrap();
    for value in VALUES {
        for command in ["serve", "migrate"] {
            let output = keyward(&[command], &folder, &[("DATABASE_URL", value)]);
            assert_one_line(&output, "keyward: DATABASE_URL: ");
            assert_secret_is_hidden(&output);
        }
    }
}

#[test]
fn a_line_of_dotenv_that_is_not_a_variable_is_named_by_its_number() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), format!("# comment\n{CANARY}\n")).unwrap();
    let output = keyward(&["openapi"], &folder, &[]);
    assert_one_line(&output, "keyward: .env: line 2 ");
    assert_secret_is_hidden(&output);
}

#[test]
fn dotenv_is_read_from_the_working_folder_alone_and_literally() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "KEYWARD_NONSENSE=1\n").unwrap();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    let output = command.arg("openapi").env_clear().current_dir(&below).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::write(
        below.join(".env"),
        "HOME=/x\nKEYWARD_PUBLIC_URL='https://a.example/$HOME'\n",
    )
    .unwrap();
    let output = command.output().unwrap();
    let document = String::from_utf8(output.stdout).unwrap();
    assert!(document.contains("https://a.example/$HOME"), "{document:.300}");
}

#[test]
fn a_service_named_keyward_does_not_stop_the_start() {
    let folder = TempDir::new().unwrap();
    let environment = [
        ("KEYWARD_SERVICE_HOST", "10.96.0.7"),
        ("KEYWARD_SERVICE_PORT", "8080"),
        ("KEYWARD_PORT", "tcp://10.96.0.7:8080"),
        ("KEYWARD_PORT_8080_TCP_ADDR", "10.96.0.7"),
        ("KEYWARD_DB_SERVICE_PORT_POSTGRES", "5432"),
        ("KEYWARD_DB_PORT_5432_TCP", "tcp://10.96.0.8:5432"),
    ];
    assert!(keyward(&["openapi"], &folder, &environment).status.success());
    let output = keyward(&["openapi"], &folder, &[("KEYWARD_PORT", "8080")]);
    assert_one_line(&output, "keyward: KEYWARD_PORT: unknown setting");
}

/// With most settings the start stops at the value; with the others, at the database.
#[test]
fn no_command_prints_or_logs_a_secret_in_the_place_of_another_setting() {
    let folder = TempDir::new().unwrap();
    let settings: Vec<_> = settings().into_iter().map(|setting| setting.variable).collect();
    std::thread::scope(|scope| {
        for variables in settings.chunks(settings.len().div_ceil(4)) {
            let folder = &folder;
            scope.spawn(move || {
                for variable in variables {
                    // The log names the files in the data folder, so its path cannot be kept secret.
                    if variable == "KEYWARD_DATA_DIR" {
                        continue;
                    }
                    for value in ["CANARY-3f9a", "x': CANARY-3f9a"] {
                        let environment = [
                            ("DATABASE_URL", "postgres://127.0.0.1:1/none"),
                            ("KEYWARD_LOG", "trace"),
                            (variable, value),
                        ];
                        let output = keyward(&["user", "list"], folder, &environment);
                        assert!(!output.status.success(), "{variable}");
                        assert_secret_is_hidden(&output);
                    }
                }
            });
        }
    });
}

#[test]
fn the_content_of_a_file_with_a_secret_is_not_printed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, CANARY).unwrap();
    for setting in ["KEYWARD_SECRET_FILE", "KEYWARD_SIGNING_KEYS"] {
        let environment = [
            ("DATABASE_URL", "postgres://127.0.0.1:1/none"),
            ("KEYWARD_LOG", "trace"),
            ("KEYWARD_BIND", "127.0.0.1:0"),
            ("KEYWARD_ADMIN_BIND", "127.0.0.1:0"),
            (setting, file.to_str().unwrap()),
        ];
        let output = keyward(&["serve"], &folder, &environment);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(setting), "{output:?}");
        assert_secret_is_hidden(&output);
    }
}

#[test]
fn the_certificates_of_the_system_need_a_libpq_that_knows_them() {
    let folder = TempDir::new().unwrap();
    let url = "postgres://127.0.0.1:1/none?sslmode=verify-full&sslrootcert=system";
    let output = keyward(&["migrate"], &folder, &[("DATABASE_URL", url)]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    if text.contains("libpq") {
        assert_one_line(&output, "keyward: DATABASE_URL: sslrootcert=system needs libpq 16");
    } else {
        assert!(text.contains("Connection refused"), "{text}");
    }
}
