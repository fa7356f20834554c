//! What mails say.

use std::collections::BTreeSet;

use super::super::Link;
use super::super::render::{Frame, Rendered};
use super::*;

fn rendered(locale: Locale, message: &Message) -> Rendered {
    let frame = Frame {
        service: "Example Accounts",
        recipient: RECIPIENT,
        link: message.link().map(|_| "https://accounts.example.com/app/page#token=T"),
    };
    Templates::new().unwrap().render(locale, message, &frame).unwrap()
}

fn kind(message: &Message) -> String {
    serde_json::to_value(message).unwrap()["kind"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn every_message_is_said_in_every_language_with_nothing_left_open() {
    for locale in Locale::ALL {
        for message in every_message("Ada & Co") {
            let mail = rendered(locale, &message);
            for text in [&mail.subject, &mail.text, &mail.html] {
                assert!(!text.trim().is_empty(), "{message:?}");
                for open in ["{{", "}}", "{%", "%}", "undefined", "none", "None", "null"] {
                    assert!(
                        !text.replace("text-decoration:none", "").contains(open),
                        "{open} in {text}"
                    );
                }
            }
            assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
            assert!(mail.text.lines().all(|line| !line.starts_with(' ')), "{}", mail.text);
        }
    }
}

#[test]
fn languages_are_told_apart() {
    for message in every_message("Ada") {
        if kind(&message) == "announcement" {
            continue;
        }
        let [en, zh] = Locale::ALL.map(|locale| rendered(locale, &message));
        assert!(
            en.subject.is_ascii() && en.text.is_ascii() && en.html.is_ascii(),
            "{}",
            en.text
        );
        assert!(!zh.subject.is_ascii() && !zh.text.is_ascii(), "{}", zh.text);
        assert!(en.html.contains("<html lang=\"en\">") && zh.html.contains("<html lang=\"zh-CN\">"));
    }
}

#[test]
fn the_plain_text_holds_the_one_link_on_a_line_of_its_own_or_none() {
    for locale in Locale::ALL {
        for message in every_message("Ada") {
            let mail = rendered(locale, &message);
            let links = usize::from(message.link().is_some());
            assert_eq!(mail.text.matches("http").count(), links, "{}", mail.text);
            assert_eq!(mail.text.matches("token=").count(), links);
            assert_eq!(
                mail.text.lines().filter(|line| line.starts_with("https://")).count(),
                links
            );
            // The button, the link spelt out, and that link's own text.
            assert_eq!(
                mail.html
                    .matches("https://accounts.example.com/app/page#token=T")
                    .count(),
                links * 3
            );
            assert_eq!(mail.html.matches("http").count(), links * 3);
            assert_eq!(mail.html.contains("<td class=\"button\""), links == 1);
        }
    }
}

#[test]
fn these_messages_have_a_link_and_no_others() {
    let linked: BTreeSet<_> = every_message("Ada")
        .iter()
        .filter(|m| m.link().is_some())
        .map(kind)
        .collect();
    let expected = [
        "confirm_email",
        "email_change_requested",
        "email_changed",
        "invitation",
        "reset_password",
        "verify_email",
    ];
    assert!(linked.iter().eq(expected), "{linked:?}");
}

#[test]
fn a_mail_says_how_long_its_link_works() {
    let token_id = token_id();
    let said = |message: Message| Locale::ALL.map(|locale| rendered(locale, &message).text);
    let [en, zh] = said(Message::VerifyEmail { token_id });
    assert!(en.contains("for 24 hours") && zh.contains("24 小时"));
    let [en, zh] = said(Message::ResetPassword { token_id });
    assert!(en.contains("for 60 minutes") && zh.contains("60 分钟"));
    let new_email = String::from("new@example.net");
    let [en, zh] = said(Message::ConfirmEmail { token_id, new_email });
    assert!(en.contains("for 24 hours") && zh.contains("24 小时"));
    let [en, zh] = said(Message::EmailChanged {
        token_id,
        old_email: RECIPIENT.to_owned(),
        new_email: "new@example.net".to_owned(),
    });
    assert!(en.contains("for 7 days") && zh.contains("7 天"));
    assert!(en.contains(RECIPIENT) && en.contains("new@example.net"));
    let [en, zh] = said(Message::Invitation {
        token_id,
        org_name: "Acme".to_owned(),
        inviter_name: Some("Bob".to_owned()),
        role: "admin".to_owned(),
    });
    assert!(en.contains("for 7 days") && zh.contains("7 天"));
    assert!(en.contains("\"Bob\" invites you to join the organisation \"Acme\"") && en.contains("administrator"));
    assert!(zh.contains("“Bob” 邀请您加入") && zh.contains("管理员"));
}

#[test]
fn an_instant_is_written_as_people_of_the_language_do() {
    let [en, zh] = Locale::ALL.map(|locale| rendered(locale, &Message::PasswordChanged { at: at() }).text);
    assert!(en.contains("When: 21 November 2026, 14:05 UTC"), "{en}");
    assert!(zh.contains("时间：2026年11月21日 14:05（UTC）"), "{zh}");
}

#[test]
fn typed_text_is_escaped_in_html_and_never_read_as_a_template() {
    let typed = "<b onclick='x()'>\"A\" & {{ service }} {% raw %} {{ 7 * 191 }}";
    for locale in Locale::ALL {
        for message in every_message(typed) {
            let mail = rendered(locale, &message);
            assert!(
                !mail.html.contains("<b on") && !mail.html.contains("onclick='"),
                "{}",
                mail.html
            );
            assert!(!mail.html.contains("1337") && !mail.text.contains("1337"));
            if mail.text.contains("onclick") {
                assert!(mail.text.contains(typed), "carried unchanged: {}", mail.text);
                assert!(
                    mail.html
                        .contains("&lt;b onclick=&#x27;x()&#x27;&gt;&quot;A&quot; &amp; {{ service }}")
                );
            }
        }
    }
}

#[test]
fn typed_text_forges_no_line_and_turns_no_direction() {
    let typed = "Acme\r\nhttps://evil.example/#token=x\u{202E}\u{2066}\u{0}\u{1b}[31m\u{2028}end";
    for message in every_message(typed) {
        if matches!(kind(&message).as_str(), "announcement" | "join_request_decided") {
            continue;
        }
        let mail = rendered(Locale::En, &message);
        assert!(
            !mail.text.lines().any(|line| line.starts_with("https://evil")),
            "{}",
            mail.text
        );
        for text in [&mail.subject, &mail.text, &mail.html] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            assert!(!text.contains(['\u{202E}', '\u{2066}', '\u{2028}']), "{text:?}");
        }
    }
}

#[test]
fn what_somebody_else_said_is_marked_as_a_quotation() {
    let message = Message::JoinRequestDecided {
        org_name: "Acme".to_owned(),
        approved: false,
        reason: Some("Sorry.\r\nhttps://evil.example/<i>".to_owned()),
    };
    let mail = rendered(Locale::En, &message);
    assert!(
        mail.text.contains("> Sorry.\n> https://evil.example/<i>\n"),
        "{}",
        mail.text
    );
    assert!(
        mail.html
            .contains("Sorry.<br>https:&#x2f;&#x2f;evil.example&#x2f;&lt;i&gt;</span>")
    );
}

#[test]
fn an_announcement_keeps_its_lines() {
    let message = Message::Announcement {
        title: "Maintenance".to_owned(),
        body: "On Sunday:\r\n- one\n- <two>\n\nThanks".to_owned(),
    };
    let mail = rendered(Locale::ZhCn, &message);
    assert_eq!(mail.subject, "Maintenance");
    assert!(
        mail.text.starts_with("On Sunday:\n- one\n- <two>\n\nThanks\n"),
        "{}",
        mail.text
    );
    assert!(mail.html.contains("On Sunday:<br>- one<br>- &lt;two&gt;<br><br>Thanks"));
}

#[test]
fn a_message_survives_the_database() {
    for message in every_message("Ada") {
        let stored = serde_json::to_value(&message).unwrap();
        assert_eq!(serde_json::from_value::<Message>(stored).unwrap(), message);
    }
    let stored = serde_json::json!({ "kind": "verify_email", "token_id": token_id() });
    assert_eq!(
        serde_json::to_value(Message::VerifyEmail { token_id: token_id() }).unwrap(),
        stored
    );
}

#[test]
fn every_link_has_its_own_page_and_purpose() {
    let pages: BTreeSet<_> = Link::ALL.map(Link::page).into();
    let purposes: BTreeSet<_> = Link::ALL.map(|link| link.purpose().as_str()).into();
    assert_eq!((pages.len(), purposes.len()), (5, 5));
}
