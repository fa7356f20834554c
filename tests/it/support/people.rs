//! User accounts.

use keyward::account::{NewUser, create_user};
use keyward::auth::{Password, PlatformRole};
use keyward::users::Username;
use keyward::values::EmailAddress;
use keyward::values::ids::UserId;
use serde_json::{Value, json};

use super::TestApp;

/// The password of all test accounts.
pub const PASSWORD: &str = "plum-rocket-tundra-fiddle";

/// A user with a session.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: UserId,
    pub email: String,
    pub username: String,
    pub access_token: String,
    pub refresh_token: String,
    pub session_id: String,
}

impl TestApp {
    /// Creates a verified account with the address `<username>@example.com` and logs in.
    pub async fn person(&self, username: &str) -> Person {
        self.person_with_role(username, PlatformRole::User).await
    }

    /// Creates an account for each name.
    pub async fn people<const N: usize>(&self, usernames: [&str; N]) -> [Person; N] {
        let mut people = Vec::with_capacity(N);
        for username in usernames {
            people.push(self.person(username).await);
        }
        people.try_into().ok().unwrap()
    }

    /// Creates a platform admin and logs in.
    pub async fn admin(&self, username: &str) -> Person {
        self.person_with_role(username, PlatformRole::Admin).await
    }

    async fn person_with_role(&self, username: &str, role: PlatformRole) -> Person {
        let email = format!("{username}@example.com");
        let new = NewUser {
            email: EmailAddress::try_from(email.clone()).unwrap(),
            username: Username::try_from(username.to_owned()).unwrap(),
            role,
            verified: true,
            password_hash: self
                .state
                .hasher
                .hash(Password::try_from(PASSWORD.to_owned()).ok().unwrap())
                .await
                .unwrap(),
        };
        let secret = self.state.secret.clone();
        let id = self.transaction(move |tx| create_user(tx, &secret, &new)).await;
        let tokens = self.log_in(&email, PASSWORD).await;
        Person {
            id,
            email,
            username: username.to_owned(),
            access_token: tokens["access_token"].as_str().unwrap().to_owned(),
            refresh_token: tokens["refresh_token"].as_str().unwrap().to_owned(),
            session_id: tokens["session_id"].as_str().unwrap().to_owned(),
        }
    }

    /// Registers an address with [`PASSWORD`]; it is not verified yet.
    pub async fn register(&self, email: &str) {
        let body = json!({"email": email, "password": PASSWORD});
        self.post("/auth/register", &body).await.expect(202);
    }

    /// Requests a password reset and returns the token of the mailed link.
    pub async fn reset_token(&self, email: &str) -> String {
        let body = json!({"email": email});
        self.post("/password/forgot", &body).await.expect(202);
        self.last_mail_to(email).await.token("reset-password")
    }

    /// Logs in and returns the tokens.
    pub async fn log_in(&self, login: &str, password: &str) -> Value {
        self.post("/auth/login", &json!({"login": login, "password": password}))
            .await
            .expect(200)
    }
}
