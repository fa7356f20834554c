//! Delivery to a scripted mail server, and into a directory.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::super::file::MailDir;
use super::super::smtp::{SendError, SmtpServer, SmtpSession};
use super::*;
use crate::notifications::event::Link;

/// The lines that the server received, by connection.
type Received = Arc<Mutex<Vec<Vec<String>>>>;

/// Starts a mail server whose replies come from `script`, as `(command, reply)` in order, and are otherwise positive.
async fn server(script: &[(&str, &str)]) -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let received = Received::default();
    let script: VecDeque<_> = script.iter().map(|(c, a)| ((*c).to_owned(), (*a).to_owned())).collect();
    let script = Arc::new(Mutex::new(script));
    let log = Arc::clone(&received);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            log.lock().unwrap().push(Vec::new());
            let number = log.lock().unwrap().len() - 1;
            tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&log), number));
        }
    });
    (address, received)
}

async fn serve(stream: TcpStream, script: Arc<Mutex<VecDeque<(String, String)>>>, received: Received, number: usize) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut in_data = false;
    let mut reply = String::from("220 test\r\n");
    loop {
        if writer.write_all(reply.as_bytes()).await.is_err() || reply.starts_with("421") {
            return;
        }
        reply.clear();
        let Ok(Some(line)) = lines.next_line().await else {
            return;
        };
        received.lock().unwrap()[number].push(line.clone());
        if in_data && line != "." {
            continue;
        }
        let usual = match line.get(..4).unwrap_or(&line) {
            _ if in_data => "250 queued",
            "EHLO" => "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        in_data = !in_data && line == "DATA";
        let mut script = script.lock().unwrap();
        let scripted = match script.front() {
            Some((command, _)) if line.starts_with(command.as_str()) => script.pop_front(),
            _ => None,
        };
        let answer = scripted.map_or_else(|| usual.to_owned(), |(_, answer)| answer);
        in_data = in_data && answer.starts_with('3');
        reply = format!("{answer}\r\n");
    }
}

fn mail() -> ComposedEmail {
    composed(
        Locale::ZhCn,
        Event::VerifyEmail { token_id: token_id() },
        Encoding::Base64,
    )
}

fn smtp(url: &str) -> SmtpServer {
    SmtpServer::new(url, "accounts.example.com").unwrap()
}

#[tokio::test]
async fn emails_share_one_connection() {
    let (address, received) = server(&[]).await;
    let smtp = smtp(&format!("smtp://{address}"));
    let mut session = SmtpSession::new(&smtp);
    session.send(&mail()).await.unwrap();
    session.send(&mail()).await.unwrap();
    session.close().await;
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 1);
    let commands: Vec<_> = received[0]
        .iter()
        .filter(|line| line.contains("EHLO") || line.contains("<ada@"))
        .collect();
    assert_eq!(commands[0], "EHLO accounts.example.com");
    assert_eq!(
        received[0]
            .iter()
            .filter(|line| *line == "MAIL FROM:<no-reply@example.com>")
            .count(),
        2
    );
    assert_eq!(
        received[0]
            .iter()
            .filter(|line| *line == "RCPT TO:<ada@example.org>")
            .count(),
        2
    );
    assert!(received[0].iter().all(|line| line.is_ascii()));
    assert_eq!(received[0].last().unwrap(), "QUIT");
}

#[tokio::test]
async fn the_password_in_the_url_is_decoded() {
    let (address, received) = server(&[]).await;
    let smtp = smtp(&format!("smtp://user%40example.com:p%3Aa%2Fss@{address}/?tls=none"));
    let mut session = SmtpSession::new(&smtp);
    session.send(&mail()).await.unwrap();
    let received = received.lock().unwrap();
    let sent = received[0]
        .iter()
        .find_map(|line| line.strip_prefix("AUTH PLAIN "))
        .unwrap();
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, sent).unwrap();
    assert_eq!(decoded, b"\0user@example.com\0p:a/ss");
}

#[tokio::test]
async fn a_refusal_is_permanent_or_temporary() {
    for (command, answer, is_permanent) in [
        ("MAIL", "550 5.7.1 sender not yours", false),
        ("MAIL", "451 later", false),
        ("RCPT", "550 5.1.1 no such user", true),
        ("RCPT", "452 4.2.2 mailbox full", false),
        ("DATA", "554 no", true),
        (".", "554 5.7.1 spam", true),
        (".", "451 4.3.0 later", false),
        (".", "421 4.3.2 going down", false),
        ("DATA", "nonsense", false),
    ] {
        let (address, received) = server(&[(command, answer)]).await;
        let smtp = smtp(&format!("smtp://{address}"));
        let mut session = SmtpSession::new(&smtp);
        let Err(SendError::Refused { permanent, .. }) = session.send(&mail()).await else {
            panic!("{command} {answer} was not a refusal");
        };
        assert_eq!(permanent, is_permanent, "{command} {answer}");
        session.send(&mail()).await.unwrap();
        let anew = answer.starts_with("421") || answer == "nonsense";
        assert_eq!(
            received.lock().unwrap().len(),
            1 + usize::from(anew),
            "{command} {answer}"
        );
    }
}

#[tokio::test]
async fn the_reason_of_a_refusal_is_one_line_without_the_token() {
    let token = Link::VerifyEmail.token(&ServerSecret::new(&[7; 32]), token_id());
    let answer = format!("554-refused\r\n554 {}", token.expose());
    let (address, _) = server(&[(".", &answer)]).await;
    let smtp = smtp(&format!("smtp://{address}"));
    let Err(SendError::Refused { reason, .. }) = SmtpSession::new(&smtp).send(&mail()).await else {
        panic!()
    };
    assert!(
        reason.contains("554") && reason.contains("refused") && reason.contains("[token]"),
        "{reason}"
    );
    assert!(!reason.contains(token.expose()) && !reason.contains('\n'), "{reason}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let smtp = smtp(&format!("smtp://{address}"));
    let error = SmtpSession::new(&smtp).send(&mail()).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(reason) if reason.contains("refused")));
}

#[tokio::test]
async fn a_wrong_password_or_missing_tls_is_unreachable() {
    let (address, _) = server(&[("AUTH", "535 5.7.8 no")]).await;
    let login = smtp(&format!("smtp://user:wrong@{address}"));
    assert!(matches!(
        SmtpSession::new(&login).send(&mail()).await,
        Err(SendError::Unreachable(_))
    ));
    let tls = smtp(&format!("smtp://{address}?tls=required"));
    assert!(matches!(
        SmtpSession::new(&tls).send(&mail()).await,
        Err(SendError::Unreachable(_))
    ));
}

#[test]
fn a_wrong_url_is_rejected_without_quoting_its_password() {
    for (url, server) in [
        ("smtp://mail.example.com", "mail.example.com:25"),
        ("smtp://u:p@mail.example.com", "mail.example.com:587"),
        ("smtps://u:p@mail.example.com", "mail.example.com:465"),
        (
            "smtp://u:p@mail.example.com:2525/?tls=required",
            "mail.example.com:2525",
        ),
        ("smtp://[::1]:2525?tls=opportunistic", "::1:2525"),
        ("smtp://127.0.0.1:1025", "127.0.0.1:1025"),
    ] {
        assert_eq!(smtp(url).address(), server);
    }
    for url in [
        "smtp://",
        "smtp://u:hunter2@",
        "smtp://u:hunter2@host/path",
        "smtp://u:hunter2@host?tls=maybe",
        "smtps://u:hunter2@host?tls=none",
        "smtp://u:hunter2@host?ssl=1",
        "smtp://u:hunter2@host?tls=none&tls=required",
        "smtp://u:hunter2@host#x",
        "smtp://u%FF:hunter2@host",
    ] {
        let error = SmtpServer::new(url, "localhost").unwrap_err();
        assert!(!error.contains("hunter2") && error.lines().count() == 1, "{error}");
    }
    assert!(smtp("smtp://u:p@mail.example.com").exposes_password());
    for private in [
        "smtp://u:p@localhost",
        "smtp://u:p@127.0.0.1",
        "smtps://u:p@a.example",
        "smtp://a.example",
    ] {
        assert!(!smtp(private).exposes_password(), "{private}");
    }
}

#[tokio::test]
async fn an_email_file_is_readable_by_its_owner_alone() {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = MailDir::open(data_dir.path()).unwrap();
    let mail = composed(
        Locale::En,
        Event::VerifyEmail { token_id: token_id() },
        Encoding::EightBit,
    );
    dir.write(&mail).await.unwrap();
    dir.write(&mail).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let name = format!("{}-{}.eml", at().timestamp_millis(), mail.id);
    assert_eq!(files, [dir.path().join(name)]);
    assert_eq!(std::fs::read(&files[0]).unwrap(), mail.bytes);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(dir.path()), mode(&files[0])), (0o700, 0o600));
    std::fs::remove_dir_all(dir.path()).unwrap();
    dir.write(&mail).await.unwrap();
    assert_eq!((mode(dir.path()), mode(&files[0])), (0o700, 0o600));
}
