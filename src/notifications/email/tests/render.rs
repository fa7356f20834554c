//! The texts of e-mails.

use std::collections::BTreeSet;

use super::super::render::{RenderedEmail, TemplateContext, render};
use super::*;
use crate::auth::OrgRole;
use crate::notifications::PasswordChangeMethod;
use crate::notifications::event::Link;

fn rendered(locale: Locale, event: &Event) -> RenderedEmail {
    let context = TemplateContext {
        service: "Example Accounts",
        recipient: RECIPIENT,
        link: event.link().map(|_| "https://accounts.example.com/app/page#token=T"),
        at: at(),
        merged: 0,
    };
    render(&TextCatalog::strict().unwrap(), locale, event, &context).unwrap()
}

#[test]
fn every_event_has_an_email_in_every_language() {
    for locale in Locale::ALL {
        for event in samples("Ada & Co") {
            let mail = rendered(locale, &event);
            for text in [&mail.subject, &mail.text, &mail.html] {
                assert!(!text.trim().is_empty(), "{event:?}");
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
fn an_email_is_in_one_language() {
    for event in samples("Ada") {
        if event.name() == "announcement" {
            continue;
        }
        let [en, zh] = Locale::ALL.map(|locale| rendered(locale, &event));
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
fn the_plain_text_has_at_most_one_link_on_its_own_line() {
    for locale in Locale::ALL {
        for event in samples("Ada") {
            let mail = rendered(locale, &event);
            let links = usize::from(event.link().is_some());
            assert_eq!(mail.text.matches("http").count(), links, "{}", mail.text);
            assert_eq!(mail.text.matches("token=").count(), links);
            assert_eq!(
                mail.text.lines().filter(|line| line.starts_with("https://")).count(),
                links
            );
            // The button; the fallback link and its text.
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
fn only_these_events_have_a_link() {
    let linked: BTreeSet<_> = samples("Ada")
        .iter()
        .filter(|event| event.link().is_some())
        .map(Event::name)
        .collect();
    let expected = [
        "confirm_email",
        "email_change_pending",
        "email_changed",
        "org_invitation",
        "reset_password",
        "verify_email",
    ];
    assert_eq!(linked, expected.into());
}

#[test]
fn an_email_states_how_long_its_link_works() {
    let token_id = token_id();
    let texts = |event: Event| Locale::ALL.map(|locale| rendered(locale, &event).text);
    let [en, zh] = texts(Event::VerifyEmail { token_id });
    assert!(en.contains("for 24 hours") && zh.contains("24 小时"));
    let [en, zh] = texts(Event::ResetPassword { token_id });
    assert!(en.contains("for 60 minutes") && zh.contains("60 分钟"));
    let new_email = String::from("new@example.net");
    let [en, zh] = texts(Event::ConfirmEmail { token_id, new_email });
    assert!(en.contains("for 24 hours") && zh.contains("24 小时"));
    let [en, zh] = texts(Event::EmailChanged {
        token_id: Some(token_id),
        old_email: RECIPIENT.to_owned(),
        new_email: "new@example.net".to_owned(),
    });
    assert!(en.contains("for 7 days") && zh.contains("7 天"));
    assert!(en.contains(RECIPIENT) && en.contains("new@example.net"));
    let [en, zh] = texts(Event::OrgInvitation {
        org_id: token_id.uuid().into(),
        org_name: "Acme".to_owned(),
        role: OrgRole::Admin,
        invited_by: Some("Bob".to_owned()),
        invitation_id: token_id.uuid().into(),
        token_id,
    });
    assert!(en.contains("for 7 days") && zh.contains("7 天"));
    assert!(en.contains("\"Bob\" invites you to join the organisation \"Acme\"") && en.contains("administrator"));
    assert!(zh.contains("“Bob” 邀请您加入") && zh.contains("管理员"));
}

#[test]
fn an_instant_has_the_format_of_the_language() {
    let method = PasswordChangeMethod::CurrentPassword;
    let [en, zh] = Locale::ALL.map(|locale| rendered(locale, &Event::PasswordChanged { method }).text);
    assert!(en.contains("When: 21 November 2026, 14:05 UTC"), "{en}");
    assert!(zh.contains("时间：2026年11月21日 14:05（UTC）"), "{zh}");
}

#[test]
fn typed_text_is_escaped_in_html_and_is_no_template() {
    let typed = "<b onclick='x()'>\"A\" & {{ service }} {% raw %} {{ 7 * 191 }}";
    for locale in Locale::ALL {
        for event in samples(typed) {
            let mail = rendered(locale, &event);
            assert!(
                !mail.html.contains("<b on") && !mail.html.contains("onclick='"),
                "{}",
                mail.html
            );
            assert!(!mail.html.contains("1337") && !mail.text.contains("1337"));
            if mail.text.contains("onclick") {
                assert!(mail.text.contains(typed), "unchanged: {}", mail.text);
                assert!(
                    mail.html
                        .contains("&lt;b onclick=&#x27;x()&#x27;&gt;&quot;A&quot; &amp; {{ service }}")
                );
            }
        }
    }
}

#[test]
fn typed_text_adds_no_line_and_changes_no_direction() {
    let typed = "Acme\r\nhttps://evil.example/#token=x\u{202E}\u{2066}\u{0}\u{1b}[31m\u{2028}end";
    for event in samples(typed) {
        if matches!(event.name(), "announcement" | "join_request_decided") {
            continue;
        }
        let mail = rendered(Locale::En, &event);
        assert!(
            !mail.text.lines().any(|line| line.starts_with("https[:]")),
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
fn text_of_another_person_is_quoted() {
    let event = Event::JoinRequestDecided {
        org_id: token_id().uuid().into(),
        org_name: "Acme".to_owned(),
        approved: false,
        reason: Some("Sorry.\r\nhttps://evil.example/<i>".to_owned()),
    };
    let mail = rendered(Locale::En, &event);
    assert!(
        mail.text.contains("> Sorry.\n> https[:]//evil[.]example/<i>\n"),
        "{}",
        mail.text
    );
    assert!(
        mail.html
            .contains("Sorry.<br>https[:]&#x2f;&#x2f;evil[.]example&#x2f;&lt;i&gt;</span>")
    );
}

#[test]
fn an_announcement_keeps_its_lines() {
    let event = Event::Announcement {
        title: "Maintenance".to_owned(),
        body: "On Sunday:\r\n- one\n- <two>\n\nThanks".to_owned(),
        org_id: None,
    };
    let mail = rendered(Locale::ZhCn, &event);
    assert_eq!(mail.subject, "Maintenance");
    assert!(
        mail.text.starts_with("On Sunday:\n- one\n- <two>\n\nThanks\n"),
        "{}",
        mail.text
    );
    assert!(mail.html.contains("On Sunday:<br>- one<br>- &lt;two&gt;<br><br>Thanks"));
}

#[test]
fn the_email_about_a_changed_password_names_how_it_was_changed() {
    let email = |method| rendered(Locale::En, &Event::PasswordChanged { method });
    let changed = email(PasswordChangeMethod::CurrentPassword);
    assert_eq!(changed.subject, "Your password was changed");
    assert!(
        changed.text.contains("Every other session was ended"),
        "{}",
        changed.text
    );
    let reset = email(PasswordChangeMethod::ResetLink);
    assert_eq!(reset.subject, "Your password was reset");
    assert!(reset.text.contains("through a link"), "{}", reset.text);
    let operator = email(PasswordChangeMethod::Operator);
    assert!(operator.text.contains("An operator"), "{}", operator.text);
    assert!(!operator.text.contains("link"), "{}", operator.text);
}

#[test]
fn every_link_has_its_own_page_and_purpose() {
    let pages: BTreeSet<_> = Link::ALL.map(Link::page).into();
    let purposes: BTreeSet<_> = Link::ALL.map(|link| link.purpose().as_str()).into();
    assert_eq!((pages.len(), purposes.len()), (5, 5));
}
