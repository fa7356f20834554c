//! `keyward user`: accounts, on the operator's word.

use std::io::{IsTerminal as _, Read as _};

use super::args::{CreateUserArgs, SetPasswordArgs, UserCommand};
use super::operator;
use crate::account::{self, NewUser};
use crate::auth::{Password, PlatformRole};
use crate::db::Tx;
use crate::error::{Error, Invalid};
use crate::state::State;
use crate::users::{self, Username};
use crate::values::EmailAddress;

use super::{CommandContext, Failure, one_line, with_source};

/// Runs one of the commands, on a database that is brought up to date first.
pub fn run(context: &CommandContext, command: UserCommand) -> Result<(), Failure> {
    context.migrate()?;
    let state = context.state(context.keystore()?)?;
    actix_web::rt::System::new().block_on(async move {
        match command {
            UserCommand::Create(args) => create(&state, args).await,
            UserCommand::List => list(&state).await,
            UserCommand::SetPassword(args) => set_password(&state, args).await,
            UserCommand::SetRole { login, role } => {
                let role = PlatformRole::of_word(&role).unwrap_or(PlatformRole::User);
                act(&state, &login, move |tx, user| operator::set_role(tx, user, role)).await?;
                println!("{login} is {role} now.");
                Ok(())
            }
            UserCommand::Disable { login } => {
                act(&state, &login, |tx, user| operator::set_disabled(tx, user, true)).await?;
                println!("{login} is disabled; their sessions have ended, their API keys are suspended.");
                Ok(())
            }
            UserCommand::Enable { login } => {
                act(&state, &login, |tx, user| operator::set_disabled(tx, user, false)).await?;
                println!("{login} is enabled.");
                Ok(())
            }
        }
    })
}

fn said(error: Error) -> Failure {
    if error.code().status() >= 500 {
        with_source(error)
    } else {
        error.detail().to_owned()
    }
}

async fn create(state: &State, args: CreateUserArgs) -> Result<(), Failure> {
    let wrong = |what: &'static str| move |invalid: Invalid| format!("{what}: {}", invalid.detail);
    let email = EmailAddress::try_from(args.email).map_err(wrong("--email"))?;
    let username = Username::try_from(args.username).map_err(wrong("--username"))?;
    let password = read_password(state, args.password_stdin, &[email.as_str(), username.as_str()])?;
    let role = PlatformRole::of_word(&args.role).unwrap_or(PlatformRole::User);
    let password_hash = state.hasher.hash(password).await.map_err(said)?;
    let new = NewUser {
        email,
        username,
        role,
        verified: args.verified,
        password_hash,
    };
    let (secret, name) = (state.secret.clone(), new.username.to_string());
    let id = state
        .db
        .transaction(state.clock.now(), move |tx| account::create_user(tx, &secret, &new))
        .await
        .map_err(said)?;
    println!("Created {name} ({id}).");
    Ok(())
}

async fn list(state: &State) -> Result<(), Failure> {
    let users = state.db.read(state.clock.now(), operator::list).await.map_err(said)?;
    for user in users {
        let status = match (user.disabled_at, user.email_verified_at) {
            (Some(_), _) => "disabled",
            (None, None) => "unverified",
            (None, Some(_)) => "active",
        };
        let username = user.username.as_deref().unwrap_or("-");
        println!("{}\t{}\t{username}\t{}\t{status}", user.id, user.email, user.role());
    }
    Ok(())
}

async fn set_password(state: &State, args: SetPasswordArgs) -> Result<(), Failure> {
    let login = args.login.clone();
    let user = state
        .db
        .read(state.clock.now(), move |tx| operator::find(tx, &login))
        .await
        .map_err(said)?;
    let password = read_password(state, args.password_stdin, &user.personal_words())?;
    let hash = state.hasher.hash(password).await.map_err(said)?;
    let set = move |tx: &mut Tx<'_>, user| operator::set_password(tx, user, &hash);
    act(state, &args.login, set).await?;
    println!("The password of {} is set; their sessions have ended.", args.login);
    Ok(())
}

async fn act(
    state: &State,
    login: &str,
    act: impl FnOnce(&mut Tx<'_>, users::User) -> Result<(), Error> + Send + 'static,
) -> Result<(), Failure> {
    let login = login.to_owned();
    state
        .db
        .transaction(state.clock.now(), move |tx| {
            let user = operator::find(tx, &login)?;
            act(tx, user)
        })
        .await
        .map_err(said)
}

/// From the terminal, twice, or from standard input; one the policy takes.
fn read_password(state: &State, from_stdin: bool, personal: &[&str]) -> Result<Password, Failure> {
    let text = if from_stdin || !std::io::stdin().is_terminal() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(one_line)?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        let text = rpassword::prompt_password("Password: ").map_err(one_line)?;
        if text != rpassword::prompt_password("Again: ").map_err(one_line)? {
            return Err("the passwords differ".to_owned());
        }
        text
    };
    let password = Password::try_from(text).map_err(|invalid| format!("password: {}", invalid.detail))?;
    match state.policy.judge(&password, personal).1.first() {
        Some(problem) => Err(format!("password: {}", problem.detail)),
        None => Ok(password),
    }
}
