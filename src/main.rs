//! The command line: serve, migrate, openapi, keys, user.

use std::io::{IsTerminal as _, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use keyward::app::{self, Material};
use keyward::auth::{Password, PlatformRole, generate_signing_key};
use keyward::clock::Clock;
use keyward::config::{self, Command, CommandLine, Config, ConfigError, CreateUserArgs, KeysCommand, UserCommand};
use keyward::db::embedded::{EmbeddedPostgres, Options};
use keyward::db::migrations;
use keyward::mail::{EmailAddress, Mailer};
use keyward::{accounts, telemetry, worker};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

/// One line about why the program cannot go on.
type Failure = String;

fn main() -> ExitCode {
    let outcome = config::environment()
        .and_then(|environment| Ok((config::parse(environment.clone(), std::env::args())?, environment)))
        .map(|(line, environment)| {
            run(
                line,
                config::default_data_dir(&environment),
                environment.get("PATH").cloned(),
            )
        });
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) | Err(ConfigError::Wrong(failure)) => {
            eprintln!("keyward: {failure}");
            ExitCode::FAILURE
        }
        Err(ConfigError::Shown(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
    }
}

fn run(line: CommandLine, default_data_dir: PathBuf, search_path: Option<String>) -> Result<(), Failure> {
    let config = line.config;
    let command = line.command.unwrap_or(Command::Serve);
    match &command {
        Command::Openapi => {
            let document = app::document(&config).to_pretty_json().map_err(one_line)?;
            println!("{document}");
            return Ok(());
        }
        Command::Keys(KeysCommand::Generate) => {
            print!("{}", generate_signing_key().map_err(one_line)?);
            return Ok(());
        }
        Command::Serve => telemetry::log(&config)?,
        Command::Migrate | Command::User(_) => telemetry::log(&Config {
            log: "warn".to_owned(),
            ..config.clone()
        })?,
    }
    let data_dir = config.data_dir.clone().unwrap_or(default_data_dir);
    // Taken before the database is started: a port in use should not cost the start of a PostgreSQL.
    let listeners = matches!(command, Command::Serve).then(|| listen(&config)).transpose()?;
    let embedded = match config.database_url {
        Some(_) => None,
        None => Some(embed(&data_dir, search_path)?),
    };
    let url = embedded
        .as_ref()
        .map(EmbeddedPostgres::database_url)
        .or(config.database_url.as_ref())
        .cloned();
    let Some(url) = url else {
        return Err("there is no database".to_owned());
    };
    let outcome = match (command, listeners) {
        (Command::Serve, Some(listeners)) => serve(config, &data_dir, &url, listeners),
        (Command::User(UserCommand::Create(user)), _) => create_user(config, &data_dir, &url, user),
        _ => migrations::migrate(&url).map_err(with_source),
    };
    if let Some(embedded) = embedded {
        embedded.stop().map_err(one_line)?;
    }
    outcome
}

fn one_line(error: impl std::fmt::Display) -> Failure {
    error.to_string().replace('\n', " ")
}

/// An error of ours says little to the outside; an operator needs its source.
fn with_source(error: keyward::error::Error) -> Failure {
    match std::error::Error::source(&error) {
        Some(source) => one_line(source),
        None => one_line(error.detail()),
    }
}

fn embed(data_dir: &Path, search_path: Option<String>) -> Result<EmbeddedPostgres, Failure> {
    let options = Options {
        data_dir,
        search_path: search_path.map(Into::into),
        settings: &[],
    };
    EmbeddedPostgres::start(&options).map_err(one_line)
}

fn listen(config: &Config) -> Result<(TcpListener, TcpListener), Failure> {
    let open =
        |setting: &str, address| TcpListener::bind(address).map_err(|error| format!("{setting}: {address}: {error}"));
    Ok((
        open("KEYWARD_BIND", config.bind)?,
        open("KEYWARD_ADMIN_BIND", config.admin_bind)?,
    ))
}

fn serve(
    config: Config,
    data_dir: &Path,
    url: &SecretString,
    (api, admin): (TcpListener, TcpListener),
) -> Result<(), Failure> {
    let metrics = telemetry::gather()?;
    let material = Material::load(&config, data_dir).map_err(one_line)?;
    let mailer = Mailer::new(&config, data_dir, material.secret.clone()).map_err(one_line)?;
    let state = app::state_of(config, url, material, Clock::system()).map_err(with_source)?;
    actix_web::rt::System::new().block_on(async move {
        let drain = Duration::from_secs(state.config.drain_seconds.into());
        let running = app::start(api, state.clone()).map_err(one_line)?;
        let metrics = telemetry::serve(admin, metrics).map_err(one_line)?;
        let metrics_handle = metrics.handle();
        actix_web::rt::spawn(metrics);
        actix_web::rt::spawn(running.server);
        let background = worker::spawn(state.clone(), url.clone(), mailer);
        greet(&state.config);
        let mut terminated = signal(SignalKind::terminate()).map_err(one_line)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(one_line)?;
        // Who presses Ctrl-C stands in front of it and waits; a proxy must be given time to notice.
        let drain = tokio::select! {
            _ = terminated.recv() => drain,
            _ = interrupted.recv() => Duration::ZERO,
        };
        tracing::info!("stopping");
        app::stop(&state, running.handle, drain).await;
        background.stop().await;
        metrics_handle.stop(false).await;
        Ok(())
    })
}

/// Tells whoever started it what to try first.
fn greet(config: &Config) {
    let url = config.public_url();
    let url = url.as_str();
    println!("Keyward is at {url}");
    println!("Swagger UI:   {url}/docs/");
    println!(
        "Sign up:      curl -i {url}/auth/register -H 'Content-Type: application/json' \
         -d '{{\"email\":\"you@example.com\",\"password\":\"plum-rocket-tundra-fiddle\"}}'"
    );
}

fn create_user(config: Config, data_dir: &Path, url: &SecretString, user: CreateUserArgs) -> Result<(), Failure> {
    migrations::migrate(url).map_err(with_source)?;
    let invalid = |what: &'static str| move |invalid: keyward::error::Invalid| format!("{what}: {}", invalid.detail);
    let email = EmailAddress::try_from(user.email).map_err(invalid("--email"))?;
    let username = accounts::Username::try_from(user.username).map_err(invalid("--username"))?;
    let password = Password::try_from(read_password(user.password_stdin)?).map_err(invalid("password"))?;
    let role = PlatformRole::of_word(&user.role).unwrap_or(PlatformRole::User);
    let material = Material::load(&config, data_dir).map_err(one_line)?;
    let state = app::state_of(config, url, material, Clock::system()).map_err(with_source)?;
    let (_, problems) = state.policy.judge(&password, &[email.as_str(), username.as_str()]);
    if let Some(problem) = problems.first() {
        return Err(format!("password: {}", problem.detail));
    }
    actix_web::rt::System::new().block_on(async move {
        let now = state.clock.now();
        let password_hash = state.hasher.hash(password).await.map_err(with_source)?;
        let new = accounts::NewUser {
            email,
            username,
            role,
            verified: user.verified,
            password_hash,
        };
        let secret = state.secret.clone();
        let name = new.username.to_string();
        let id = state
            .db
            .transaction(move |connection| accounts::create_user(connection, &secret, now, &new))
            .await
            .map_err(|error| error.detail().to_owned())?;
        println!("Created {name} ({id}).");
        Ok(())
    })
}

fn read_password(from_stdin: bool) -> Result<String, Failure> {
    if from_stdin || !std::io::stdin().is_terminal() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(one_line)?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password("Password: ").map_err(one_line)?;
    if password != rpassword::prompt_password("Again: ").map_err(one_line)? {
        return Err("the passwords differ".to_owned());
    }
    Ok(password)
}
