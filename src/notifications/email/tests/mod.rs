//! The mails themselves; what the outbox does with them is tested where there is a database.

mod letters;
mod messages;
mod server;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Message;
use super::letter::{Composer, Encoding, Letter, Outgoing};
use super::render::Templates;
use crate::secret::ServerSecret;
use crate::values::ids::{MailId, OneTimeTokenId};
use crate::values::locale::Locale;

const APP_URL: &str = "https://accounts.example.com/app";
const RECIPIENT: &str = "ada@example.org";

fn at() -> DateTime<Utc> {
    "2026-11-21T14:05:09.123Z".parse().unwrap()
}

fn token_id() -> OneTimeTokenId {
    OneTimeTokenId::from(Uuid::parse_str("0193a5a0-0000-7000-8000-00000000002a").unwrap())
}

fn composer() -> Composer {
    Composer {
        from: "Example Accounts <no-reply@example.com>".parse().unwrap(),
        service: "Example Accounts".to_owned(),
        app_url: APP_URL.to_owned(),
        host: "accounts.example.com".to_owned(),
        secret: ServerSecret::new(&[7; 32]),
        templates: Templates::new().unwrap(),
    }
}

fn outgoing(locale: Locale, message: Message) -> Outgoing {
    Outgoing {
        id: MailId::from(Uuid::parse_str("0193a5a0-0000-7000-8000-000000000001").unwrap()),
        recipient: RECIPIENT.to_owned(),
        locale,
        message,
        created_at: at(),
    }
}

fn letter(locale: Locale, message: Message, encoding: Encoding) -> Letter {
    composer().compose(&outgoing(locale, message), encoding).unwrap()
}

/// Every kind of mail, with `typed` wherever a person's words stand; each both with and without its optional parts.
fn every_message(typed: &str) -> Vec<Message> {
    let typed = || typed.to_owned();
    let token_id = token_id();
    let mut all = vec![
        Message::VerifyEmail { token_id },
        Message::AlreadyRegistered,
        Message::ResetPassword { token_id },
        Message::PasswordChanged { at: at() },
        Message::PasswordReset { at: at() },
        Message::ConfirmEmail {
            token_id,
            new_email: "new@example.net".to_owned(),
        },
        Message::EmailChangeRequested {
            token_id,
            new_email: "new@example.net".to_owned(),
        },
        Message::EmailChanged {
            token_id,
            old_email: RECIPIENT.to_owned(),
            new_email: "new@example.net".to_owned(),
        },
        Message::EmailTaken,
        Message::RefreshTokenReused { at: at() },
        Message::JoinRequest {
            org_name: typed(),
            person: typed(),
        },
        Message::MemberRemoved { org_name: typed() },
        Message::Announcement {
            title: typed(),
            body: format!("{}\n\nSecond paragraph.", typed()),
        },
    ];
    for days in [1, 7] {
        let hint = "kw_4fGh".to_owned();
        all.push(Message::ApiKeyExpiring {
            name: typed(),
            hint,
            days,
            expires_at: at(),
        });
    }
    for role in ["owner", "admin", "member", "auditor"] {
        all.push(Message::MemberRoleChanged {
            org_name: typed(),
            role: role.to_owned(),
        });
    }
    for person in [None, Some(typed())] {
        let (name, hint) = (typed(), "kw_4fGh".to_owned());
        all.push(Message::ApiKeyCreated {
            name: name.clone(),
            hint: hint.clone(),
            org_name: person.clone(),
        });
        all.push(Message::ApiKeyRevoked {
            name,
            hint,
            org_name: person.clone(),
            by: person.clone(),
        });
        all.push(Message::NewSignIn {
            user_agent: person.clone(),
            ip: [203, 0, 113, 9].into(),
            at: at(),
        });
        all.push(Message::Invitation {
            token_id,
            org_name: typed(),
            inviter_name: person.clone(),
            role: "admin".to_owned(),
        });
        for approved in [true, false] {
            all.push(Message::JoinRequestDecided {
                org_name: typed(),
                approved,
                reason: person.clone(),
            });
        }
    }
    all
}
