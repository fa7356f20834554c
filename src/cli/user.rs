//! `keyward user`: the commands with which an operator manages accounts.

use std::io::{IsTerminal as _, Read as _};

use super::args::{CreateUserArgs, SetPasswordArgs, UserCommand};
use super::context::CommandContext;
use super::failure::{Failure, one_line, with_source};
use super::operator;
use super::output::print;
use crate::account::{self, NewUser};
use crate::auth::{Password, PlatformRole};
use crate::db::Tx;
use crate::error::{Error, Invalid};
use crate::state::State;
use crate::users::{self, User, Username};
use crate::values::EmailAddress;

/// Runs one of the commands. The database is migrated first.
pub fn run(context: &CommandContext, command: UserCommand) -> Result<(), Failure> {
    context.migrate()?;
    let state = context.state(context.keystore()?)?;
    actix_web::rt::System::new().block_on(async move {
        warn_about_other_keys(&state).await?;
        match command {
            UserCommand::Create(args) => create(&state, args).await,
            UserCommand::List => list(&state).await,
            UserCommand::SetPassword(args) => set_password(&state, args).await,
            UserCommand::SetRole { login, role } => {
                let role = PlatformRole::from_name(&role).unwrap_or(PlatformRole::User);
                change(&state, &login, move |tx, user| operator::set_role(tx, user, role)).await?;
                print(format_args!("{login} now has the role {role}.\n"))?;
                Ok(())
            }
            UserCommand::Disable { login } => {
                change(&state, &login, operator::disable).await?;
                print(format_args!(
                    "{login} is disabled. All sessions have ended, and all API keys are suspended.\n"
                ))?;
                Ok(())
            }
            UserCommand::Enable { login } => {
                change(&state, &login, operator::enable).await?;
                print(format_args!("{login} is enabled.\n"))?;
                Ok(())
            }
        }
    })
}

/// With a secret other than that of the service, the links that a command mails don't work.
async fn warn_about_other_keys(state: &State) -> Result<(), Failure> {
    let keys = state.key_ids();
    let compared = state.db.read(state.clock.now(), move |tx| keys.differences(tx));
    for difference in compared.await.map_err(failure)? {
        tracing::warn!("{difference}");
    }
    Ok(())
}

/// The line that the operator reads: the detail of an error, or its cause if the database failed.
fn failure(error: Error) -> Failure {
    if error.code().status() >= 500 {
        with_source(error)
    } else {
        error.detail().to_owned()
    }
}

async fn create(state: &State, args: CreateUserArgs) -> Result<(), Failure> {
    let invalid = |option: &'static str| move |invalid: Invalid| format!("{option}: {}", invalid.detail);
    let email = EmailAddress::try_from(args.email).map_err(invalid("--email"))?;
    let username = Username::try_from(args.username).map_err(invalid("--username"))?;
    let password = read_password(state, args.password_stdin, &[email.as_str(), username.as_str()]).await?;
    let role = PlatformRole::from_name(&args.role).unwrap_or(PlatformRole::User);
    let hashed = if args.verified {
        state.hasher.hash(password).await
    } else {
        account::hash_registration_password(state, email.as_str(), password).await
    };
    let password_hash = hashed.map_err(failure)?;
    let new = NewUser {
        email,
        username,
        role,
        verified: args.verified,
        password_hash,
    };
    let (secret, username) = (state.secret.clone(), new.username.to_string());
    let unverified = (!new.verified).then(|| new.email.to_string());
    let id = state
        .db
        .transaction(state.clock.now(), move |tx| account::create_user(tx, &secret, &new))
        .await
        .map_err(failure)?;
    print(format_args!("Created the account {username} ({id}).\n"))?;
    if let Some(email) = unverified {
        print(format_args!(
            "A link is mailed to {email}. It asks for the password of the account, or for a new one.\n"
        ))?;
    }
    Ok(())
}

async fn list(state: &State) -> Result<(), Failure> {
    let users = state
        .db
        .read(state.clock.now(), users::list_all)
        .await
        .map_err(failure)?;
    for user in users {
        let username = user.username.as_deref().unwrap_or("-");
        let (role, status) = (user.role, user.status());
        print(format_args!(
            "{}\t{}\t{username}\t{role}\t{status}\n",
            user.id, user.email
        ))?;
    }
    Ok(())
}

async fn set_password(state: &State, args: SetPasswordArgs) -> Result<(), Failure> {
    let login = args.login.clone();
    let user = state
        .db
        .read(state.clock.now(), move |tx| operator::find(tx, &login))
        .await
        .map_err(failure)?;
    let password = read_password(state, args.password_stdin, &user.personal_words()).await?;
    let hash = state.hasher.hash(password).await.map_err(failure)?;
    let set_password = move |tx: &mut Tx<'_>, user: User| operator::set_password(tx, user, &hash);
    change(state, &args.login, set_password).await?;
    print(format_args!(
        "The password of {} is set. All sessions have ended.\n",
        args.login
    ))?;
    Ok(())
}

/// Runs a change of one account in a transaction.
async fn change(
    state: &State,
    login: &str,
    change: impl Fn(&mut Tx<'_>, User) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<(), Failure> {
    let login = login.to_owned();
    state
        .db
        .transaction(state.clock.now(), move |tx| {
            let user = operator::lock(tx, &login)?;
            change(tx, user)
        })
        .await
        .map_err(failure)
}

/// Reads a password from the terminal, twice, or from standard input, and checks it against the policy.
async fn read_password(state: &State, from_stdin: bool, personal_words: &[&str]) -> Result<Password, Failure> {
    let text = if from_stdin || !std::io::stdin().is_terminal() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(one_line)?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        let text = rpassword::prompt_password("Password: ").map_err(one_line)?;
        if text != rpassword::prompt_password("Password again: ").map_err(one_line)? {
            return Err("the two passwords differ".to_owned());
        }
        text
    };
    let password = Password::try_from(text).map_err(|invalid| format!("password: {}", invalid.detail))?;
    let assessment = state.policy.assess(&password, personal_words).await.map_err(failure)?;
    match assessment.problems.first() {
        Some(problem) => Err(format!("password: {}", problem.detail)),
        None => Ok(password),
    }
}
