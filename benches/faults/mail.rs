//! E-mails are queued while the mail server is down, and the service is killed while it delivers them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::instance::{self, Instance};
use crate::{CLIENTS, RETRY_INTERVAL, client, sign_up};

/// How long the mail server stays down after the last e-mail was queued.
const OUTAGE: Duration = Duration::from_secs(30);
/// How long all deliveries may take once the mail server is up.
const DELIVERY_LIMIT: Duration = Duration::from_mins(2);

/// The Message-IDs that each recipient received.
type Received = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// Checks that requests succeed without a mail server, and that each e-mail is delivered in time under one Message-ID.
pub async fn run(mails: usize) -> bool {
    let folder = tempfile::Builder::new().prefix("keyward-mail-").tempdir().unwrap();
    let smtp_port = instance::free_port();
    let settings = vec![("KEYWARD_SMTP_URL", format!("smtp://127.0.0.1:{smtp_port}"))];
    let mut instance = Instance::start_with(folder.path(), instance::free_port(), settings);
    let slowest = invite(&instance, mails).await;
    tokio::time::sleep(OUTAGE).await;
    let listener = TcpListener::bind(("127.0.0.1", smtp_port)).await.unwrap();
    let (up_since, received) = (Instant::now(), Received::default());
    tokio::spawn(serve(listener, Arc::clone(&received)));
    let mut killed = false;
    let recipients = || received.lock().unwrap().len();
    while recipients() < mails && up_since.elapsed() < DELIVERY_LIMIT {
        tokio::time::sleep(RETRY_INTERVAL).await;
        if !killed && recipients() >= mails / 2 {
            let restart = tokio::task::spawn_blocking(move || instance.kill_and_start(false));
            instance = restart.await.unwrap();
            killed = true;
        }
    }
    let took = up_since.elapsed();
    instance.stop();
    let received = received.lock().unwrap();
    let duplicate = received.values().filter(|ids| ids.len() > 1).count();
    let several_ids = received
        .values()
        .filter(|ids| ids.iter().any(|id| *id != ids[0]))
        .count();
    let missing = mails - received.len();
    println!(
        "mail: {mails} e-mails queued without a mail server, slowest response {} ms; delivered in {} s, with one kill",
        slowest.as_millis(),
        took.as_secs()
    );
    println!(
        "      missing after 120 s {missing}, under several Message-IDs {several_ids} (limits: 0, 0); delivered twice {duplicate}"
    );
    (missing, several_ids) == (0, 0)
}

/// Sends invitations, each of which queues an e-mail. Returns the time of the slowest response.
async fn invite(instance: &Instance, mails: usize) -> Duration {
    let token: Arc<str> = sign_up(instance).await.into();
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
                    let sent_at = Instant::now();
                    let response = client.post(&url).bearer_auth(&token).json(&body).send().await.unwrap();
                    let status = response.status();
                    assert_eq!(status, 201, "{}", response.text().await.unwrap());
                    slowest = slowest.max(sent_at.elapsed());
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

/// A mail server that accepts every message.
async fn serve(listener: TcpListener, received: Received) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(receive(stream, Arc::clone(&received)));
    }
}

/// Serves one SMTP connection (RFC 5321 §4.1). Returns `None` when the client disconnects.
async fn receive(stream: TcpStream, received: Received) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let (mut recipient, mut message_id, mut in_data) = (String::new(), String::new(), false);
    writer.write_all(b"220 localhost\r\n").await.ok()?;
    loop {
        let line = lines.next_line().await.ok()??;
        let lower = line.to_ascii_lowercase();
        let reply = if in_data && line == "." {
            in_data = false;
            let id = std::mem::take(&mut message_id);
            received.lock().unwrap().entry(recipient.clone()).or_default().push(id);
            "250 ok\r\n"
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
        writer.write_all(reply.as_bytes()).await.ok()?;
    }
}
