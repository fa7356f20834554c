//! The mail server is away while mails are written, and the service is killed while they are delivered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::instance::{self, Instance};
use crate::{CLIENTS, PAUSE, client, log_in};

/// How long the mail server stays away after the last mail was written.
const OUTAGE: Duration = Duration::from_secs(30);
/// How long after its return all may take to arrive.
const PROMISED: Duration = Duration::from_mins(2);

/// The Message-IDs that arrived, by recipient.
type Arrived = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// Mail trouble never touches the API, and every mail arrives at last, under one Message-ID.
pub async fn run(mails: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-mail-").tempdir().unwrap();
    let smtp_port = instance::free_port();
    let settings = vec![("KEYWARD_SMTP_URL", format!("smtp://127.0.0.1:{smtp_port}"))];
    let mut instance = Instance::start_with(folder.path(), instance::free_port(), settings);
    let slowest = write(&instance, mails).await;
    tokio::time::sleep(OUTAGE).await;
    let listener = TcpListener::bind(("127.0.0.1", smtp_port)).await.unwrap();
    let (since, arrived) = (Instant::now(), Arrived::default());
    tokio::spawn(serve(listener, Arc::clone(&arrived)));
    let mut killed = false;
    let recipients = || arrived.lock().unwrap().len();
    while recipients() < mails && since.elapsed() < PROMISED {
        tokio::time::sleep(PAUSE).await;
        if !killed && recipients() >= mails / 2 {
            let again = tokio::task::spawn_blocking(move || instance.kill_and_start(false));
            instance = again.await.unwrap();
            killed = true;
        }
    }
    let took = since.elapsed();
    instance.stop();
    let arrived = arrived.lock().unwrap();
    let twice = arrived.values().filter(|ids| ids.len() > 1).count();
    let differing = arrived
        .values()
        .filter(|ids| ids.iter().any(|id| *id != ids[0]))
        .count();
    let missing = mails - arrived.len();
    println!(
        "{mails} mails written without a mail server, the slowest answer {} ms; with it, {} s, killed once meanwhile",
        slowest.as_millis(),
        took.as_secs()
    );
    println!("missing {missing}, under two Message-IDs {differing} (promised: 0, 0 within 120 s); came twice {twice}");
    (missing, differing) == (0, 0)
}

/// Invites people, each by mail; says how long the slowest answer took.
async fn write(instance: &Instance, mails: usize) -> Duration {
    let token: Arc<str> = log_in(instance).await.into();
    let org = client().post(instance.url("/orgs")).bearer_auth(&token);
    let org = org.json(&json!({"name": "Mail"})).send().await.unwrap();
    let org: Value = org.json().await.unwrap();
    let url = instance.url(&format!("/orgs/{}/invitations", org["id"].as_str().unwrap()));
    let writers: Vec<_> = (0..CLIENTS)
        .map(|writer| {
            let (token, url) = (Arc::clone(&token), url.clone());
            tokio::spawn(async move {
                let (client, mut slowest) = (client(), Duration::ZERO);
                for number in (writer..mails).step_by(CLIENTS) {
                    let body = json!({"email": format!("person{number}@example.com"), "role": "member"});
                    let asked = Instant::now();
                    let answer = client.post(&url).bearer_auth(&token).json(&body).send().await.unwrap();
                    let status = answer.status();
                    assert_eq!(status, 201, "{}", answer.text().await.unwrap());
                    slowest = slowest.max(asked.elapsed());
                }
                slowest
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for writer in writers {
        slowest = slowest.max(writer.await.unwrap());
    }
    slowest
}

/// A mail server that takes everything.
async fn serve(listener: TcpListener, arrived: Arrived) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(take(stream, Arc::clone(&arrived)));
    }
}

/// One connection (RFC 5321 §4.1), until the client leaves; `None` then.
async fn take(stream: TcpStream, arrived: Arrived) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let (mut recipient, mut message_id, mut in_data) = (String::new(), String::new(), false);
    writer.write_all(b"220 here\r\n").await.ok()?;
    loop {
        let line = lines.next_line().await.ok()??;
        let lower = line.to_ascii_lowercase();
        let answer = if in_data && line == "." {
            in_data = false;
            let id = std::mem::take(&mut message_id);
            arrived.lock().unwrap().entry(recipient.clone()).or_default().push(id);
            "250 taken\r\n"
        } else if in_data {
            if let Some(id) = lower.strip_prefix("message-id:") {
                id.trim().clone_into(&mut message_id);
            }
            continue;
        } else if let Some(address) = lower.strip_prefix("rcpt to:") {
            address.clone_into(&mut recipient);
            "250 ok\r\n"
        } else if lower == "data" {
            in_data = true;
            "354 go on\r\n"
        } else if lower == "quit" {
            "221 bye\r\n"
        } else {
            "250 ok\r\n"
        };
        writer.write_all(answer.as_bytes()).await.ok()?;
    }
}
