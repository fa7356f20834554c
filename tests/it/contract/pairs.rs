//! Operations on the same person at the same time: none waits for another in a circle, none fails because of that, and what
//! works once has one winner.

use std::future::IntoFuture as _;

use futures_util::future::{join, join_all};
use keyward::auth::PlatformRole;
use keyward::secret::Purpose;
use keyward::values::ids::OneTimeTokenId;
use serde_json::json;

use crate::support::{Call, Fixture, Operation, PASSWORD, Person, Reply, TestApp};

/// How often each pair runs.
const ROUNDS: usize = 5;

const NEW_PASSWORD: &str = "other-lantern-orbit-mosaic";

fn start() -> TestApp {
    TestApp::start_with(&[("KEYWARD_RATE_LIMITS", "off"), ("KEYWARD_DB_POOL_SIZE", "50")])
}

/// How many deadlocks PostgreSQL has found in the database of the app. Its connections report theirs when they end.
fn deadlocks(app: &TestApp) -> i64 {
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    app.number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
}

/// The token of the link that was mailed last.
fn last_token(app: &TestApp, purpose: Purpose) -> String {
    use diesel::prelude::*;
    use keyward::db::schema::one_time_tokens;
    let id: OneTimeTokenId = one_time_tokens::table
        .filter(one_time_tokens::purpose.eq(purpose.as_str()))
        .order(one_time_tokens::id.desc())
        .select(one_time_tokens::id)
        .first(&mut app.connect())
        .unwrap();
    app.state.secret.token(purpose, id.uuid()).expose().to_owned()
}

/// One of the operations of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Confirm,
    Revert,
    Cancel,
    Resend,
    RequestAnother,
    ChangePassword,
    Reset,
    Refresh,
    LogOut,
    LogIn,
    Disable,
    Rename,
    CreateKey,
}

/// What must come of a pair, whichever of the two is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Both,
    /// The second one may succeed as well.
    First,
    One,
}

/// A person with a change of e-mail address and a link to reset the password.
struct Scene<'a> {
    app: &'a TestApp,
    zoe: &'a Person,
    person: Person,
    confirm: String,
    revert: String,
    reset: String,
}

impl<'a> Scene<'a> {
    async fn create(app: &'a TestApp, zoe: &'a Person, name: &str) -> Self {
        let person = app.person(name).await;
        app.post("/email", &json!({"new_email": format!("new-{}", person.email)}))
            .bearer(&person.access_token)
            .await
            .expect(202);
        app.post("/password/forgot", &json!({"email": person.email}))
            .await
            .expect(202);
        Self {
            app,
            zoe,
            person,
            confirm: last_token(app, Purpose::ConfirmEmail),
            revert: last_token(app, Purpose::RevertEmail),
            reset: last_token(app, Purpose::ResetPassword),
        }
    }

    fn call(&self, act: Act) -> Call {
        let Self { app, person, .. } = self;
        let token = &person.access_token;
        let password = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
        match act {
            Act::Confirm => app.post("/email/confirm", &json!({"token": self.confirm})),
            Act::Revert => app.post("/email/revert", &json!({"token": self.revert})),
            Act::Cancel => app.delete("/email/pending").bearer(token),
            Act::Resend => app.request("POST", "/email/resend").bearer(token),
            Act::RequestAnother => {
                let body = json!({"new_email": format!("another-{}", person.email)});
                app.post("/email", &body).bearer(token)
            }
            Act::ChangePassword => app.put("/password", &password).bearer(token),
            Act::Reset => app.post(
                "/password/reset",
                &json!({"token": self.reset, "new_password": NEW_PASSWORD}),
            ),
            Act::Refresh => app.post("/auth/refresh", &json!({"refresh_token": person.refresh_token})),
            Act::LogOut => app.post("/auth/logout", &json!({"refresh_token": person.refresh_token})),
            Act::LogIn => app.post("/auth/login", &json!({"login": person.username, "password": PASSWORD})),
            Act::Disable => app
                .patch(&format!("/admin/users/{}", person.id), &json!({"disabled": true}))
                .bearer(&self.zoe.access_token),
            Act::Rename => app
                .patch("/me", &json!({"username": format!("{}x", person.username)}))
                .bearer(token),
            Act::CreateKey => app
                .post("/api-keys", &json!({"name": "k", "current_password": PASSWORD}))
                .bearer(token),
        }
    }
}

fn is_success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// Checks the responses of a pair.
fn check(pair: &str, expected: Expected, first: &Reply, second: &Reply) {
    let responses = format!(
        "{pair}: {} {} and {} {}",
        first.status,
        first.text(),
        second.status,
        second.text()
    );
    assert!(first.status < 500 && second.status < 500, "{responses}");
    let is_expected = match expected {
        Expected::Both => is_success(first) && is_success(second),
        Expected::First => is_success(first),
        Expected::One => is_success(first) != is_success(second),
    };
    assert!(is_expected, "{expected:?} expected, {responses}");
}

type Pair = (Act, Act, Expected);

/// Runs each pair, on a new account with a pending or a confirmed change in each round.
async fn run(pairs: &[Pair], is_confirmed: bool, rounds: usize) {
    let app = start();
    let zoe = app.admin("zoe").await;
    for (number, (first, second, expected)) in pairs.iter().enumerate() {
        for round in 0..rounds {
            let scene = Scene::create(&app, &zoe, &format!("p{number}-{round}")).await;
            if is_confirmed {
                scene.call(Act::Confirm).await.expect(200);
            }
            let (left, right) = join(scene.call(*first).into_future(), scene.call(*second).into_future()).await;
            check(&format!("{first:?} and {second:?}"), *expected, &left, &right);
        }
    }
    assert_eq!(deadlocks(&app), 0);
}

/// Runs every pair this often.
pub async fn run_all(rounds: usize) {
    use Act::{
        Cancel, ChangePassword, Confirm, CreateKey, Disable, LogIn, LogOut, Refresh, Rename, RequestAnother, Resend,
        Reset, Revert,
    };
    use Expected::{Both, First, One};
    let pending = [
        (Confirm, Confirm, One),
        (Confirm, Cancel, One),
        (Confirm, Resend, One),
        (Revert, Confirm, First),
        (RequestAnother, Confirm, First),
        (ChangePassword, Confirm, First),
        (Disable, Confirm, First),
        (Confirm, Refresh, Both),
        (Confirm, LogIn, Both),
        (Revert, Revert, One),
        (Revert, Cancel, One),
        (Revert, Resend, First),
        (RequestAnother, Revert, First),
        (ChangePassword, Revert, First),
        (Revert, Refresh, Both),
        (Reset, Reset, One),
        (Reset, Confirm, One),
        (Reset, ChangePassword, One),
        (Reset, Refresh, First),
        (Reset, LogIn, First),
        (LogOut, Refresh, First),
        (RequestAnother, Rename, Both),
        (ChangePassword, CreateKey, First),
        (Disable, CreateKey, First),
        (Disable, LogIn, First),
    ];
    let confirmed = [
        (Revert, Revert, One),
        (Revert, ChangePassword, First),
        (Revert, CreateKey, First),
        (Revert, LogIn, First),
        (Revert, Refresh, First),
        (Revert, RequestAnother, First),
        (Disable, Revert, First),
    ];
    run(&pending, false, rounds).await;
    run(&confirmed, true, rounds).await;
}

#[actix_web::test]
async fn pairs_of_operations_on_one_account_never_deadlock() {
    run_all(ROUNDS).await;
}

#[actix_web::test]
async fn one_of_two_uses_of_a_verification_link_succeeds() {
    let app = start();
    for round in 0..ROUNDS {
        let body = json!({"email": format!("p{round}@example.com"), "password": PASSWORD});
        let mut tokens = Vec::new();
        for _ in 0..2 {
            app.post("/auth/register", &body).await.expect(202);
            tokens.push(last_token(&app, Purpose::VerifyEmail));
        }
        for pair in [[0, 1], [0, 0]] {
            let verify = |number: usize| {
                let body = json!({"token": tokens[number], "password": PASSWORD});
                app.post("/auth/verify-email", &body).into_future()
            };
            let (first, second) = join(verify(pair[0]), verify(pair[1])).await;
            assert!(first.status < 500 && second.status < 500);
            let successes = [&first, &second].iter().filter(|reply| is_success(reply)).count();
            // The links of an address end with the first that is used.
            assert_eq!(
                successes,
                usize::from(pair == [0, 1]),
                "{}{}",
                first.text(),
                second.text()
            );
        }
    }
    assert_eq!(deadlocks(&app), 0);
}

#[actix_web::test]
async fn of_two_admins_who_disable_each_other_one_succeeds() {
    let app = start();
    for round in 0..ROUNDS {
        let names = [format!("ada{round}"), format!("bob{round}")];
        let (ada, bob) = (app.admin(&names[0]).await, app.admin(&names[1]).await);
        for body in [json!({"role": PlatformRole::User}), json!({"disabled": true})] {
            let disable = |by: &Person, whom: &Person| {
                let call = app.patch(&format!("/admin/users/{}", whom.id), &body);
                call.bearer(&by.access_token).into_future()
            };
            let (first, second) = join(disable(&ada, &bob), disable(&bob, &ada)).await;
            let successes = [&first, &second].iter().filter(|reply| is_success(reply)).count();
            assert!(first.status < 500 && second.status < 500 && successes <= 1);
        }
    }
    assert_eq!(deadlocks(&app), 0);
}

#[actix_web::test]
async fn all_operations_at_the_same_time_never_deadlock() {
    let app = start();
    let mut operations = Operation::all();
    operations.retain(|operation| !["streamNotifications", "getReadyz"].contains(&operation.id.as_str()));
    for round in 0..3 {
        let fixture = Fixture::create_with_suffix(&app, &round.to_string()).await;
        let calls = operations.iter().map(|operation| {
            let call = fixture.valid_call(&app, operation);
            async move { (operation, call.await) }
        });
        for (operation, reply) in join_all(calls).await {
            assert!(reply.status < 500, "{operation}: {}", reply.text());
        }
    }
    assert_eq!(deadlocks(&app), 0);
}

#[actix_web::test]
async fn a_transaction_that_ends_in_a_deadlock_is_repeated() {
    let app = start();
    let people = app.people(["ada", "bob"]).await;
    let (now, meeting) = (app.state.clock.now(), std::sync::Arc::new(std::sync::Barrier::new(2)));
    let lock_in_order = |ids: [keyward::values::ids::UserId; 2]| {
        let (meeting, is_first_attempt) = (meeting.clone(), std::sync::atomic::AtomicBool::new(true));
        app.state.db.transaction(now, move |tx| {
            keyward::users::lock(tx, ids[0])?;
            if is_first_attempt.swap(false, std::sync::atomic::Ordering::Relaxed) {
                // Each holds one of the accounts before it waits for the other.
                meeting.wait();
            }
            keyward::users::lock(tx, ids[1])
        })
    };
    let [ada, bob] = people.map(|person| person.id);
    let (first, second) = join(lock_in_order([ada, bob]), lock_in_order([bob, ada])).await;
    assert_eq!((first.unwrap().id, second.unwrap().id), (bob, ada));
    assert!(deadlocks(&app) > 0);
}
