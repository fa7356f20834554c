//! The shipped nginx configuration, with the real nginx where there is one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::api_keys::support::ScopesFile;
use crate::support::TestApp;

/// nginx, running.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// `None` where nginx is not installed.
fn start(app: &TestApp, service: SocketAddr) -> Option<Nginx> {
    let program = [
        "/usr/sbin/nginx",
        "/usr/bin/nginx",
        "/usr/local/bin/nginx",
        "/opt/homebrew/bin/nginx",
    ]
    .into_iter()
    .find(|path| std::path::Path::new(path).exists())?;
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.path().display()))
        .concat();
    let configuration = include_str!("../../../docs/gateways/nginx.conf")
        .replace("127.0.0.1:8080", &app.address.to_string())
        .replace("127.0.0.1:3000", &service.to_string())
        .replace("127.0.0.1:8000", &address.to_string())
        .replace("worker_processes auto;", "worker_processes 1;")
        .replace("http {", &format!("http {{\naccess_log off;\n{temporary}"));
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let pid = folder.path().join("pid");
    let child = Command::new(program)
        .args(["-e", "stderr", "-p"])
        .arg(folder.path())
        .arg("-c")
        .arg(&file)
        .arg("-g")
        .arg(format!("daemon off; pid {}; error_log stderr warn;", pid.display()))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let nginx = Nginx {
        child,
        address,
        _folder: folder,
    };
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "nginx does not start");
        std::thread::yield_now();
    }
    Some(nginx)
}

/// A service that answers with the headers it was sent.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut head = String::new();
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or_default() == 0 {
                            return;
                        }
                        if line == "\r\n" {
                            break;
                        }
                        head.push_str(&line.to_ascii_lowercase());
                    }
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[actix_web::test]
async fn nginx_lets_a_good_key_through_with_its_identity_and_nobody_elses() {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[
        ("KEYWARD_SCOPES_FILE", file.path()),
        ("KEYWARD_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let Some(nginx) = start(&app, echo()) else {
        eprintln!("nginx is not installed: not tested");
        return;
    };
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["data:read"]})).await;
    let call = async |credential: Option<&str>| {
        let mut call = app
            .client
            .post(format!("http://{}/some/path?scope=none", nginx.address))
            .header("x-keyward-user", "evil")
            .header("x-keyward-org", "evil")
            .header("X-KEYWARD-Credential", "evil")
            .header("x_keyward_org", "evil")
            .header("idempotency-key", "the service's own")
            .body("a body");
        if let Some(credential) = credential {
            call = call.bearer_auth(credential);
        }
        let reply = call.send().await.unwrap();
        let challenges: Vec<String> = reply
            .headers()
            .get_all("www-authenticate")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        (reply.status().as_u16(), challenges, reply.text().await.unwrap())
    };
    let (status, _, head) = call(Some(&key.secret)).await;
    assert_eq!(status, 200, "{head}");
    for line in [
        "post /some/path?scope=none".to_owned(),
        format!("x-keyward-user: {}", ada.id),
        "x-keyward-username: ada".to_owned(),
        "x-keyward-scopes: data:read".to_owned(),
        format!("x-keyward-key-id: {}", key.id),
        "x-keyward-credential: api_key".to_owned(),
        "idempotency-key: the service's own".to_owned(),
    ] {
        assert!(head.contains(&line), "{line} is not in {head}");
    }
    for absent in ["evil", "authorization", "x-keyward-org"] {
        assert!(!head.contains(absent), "{absent} is in {head}");
    }
    let (status, _, head) = call(Some(&ada.access_token)).await;
    assert_eq!(status, 200);
    assert!(head.contains("x-keyward-credential: session") && !head.contains("x-keyward-key-id"));

    let (status, challenges, _) = call(None).await;
    assert_eq!((status, challenges.len()), (401, 1));
    let narrow = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    let (status, challenges, _) = call(Some(&narrow.secret)).await;
    assert_eq!((status, challenges.len()), (403, 1));
    assert!(challenges[0].contains("scope=\"data:read\""));
    let elsewhere = app
        .key(
            &ada,
            json!({"scopes": ["data:read"], "allowed_ips": ["203.0.113.0/24"]}),
        )
        .await;
    assert_eq!(call(Some(&elsewhere.secret)).await.0, 403);

    assert_eq!(call(Some(&key.secret)).await.0, 200);
    app.delete(&key.path()).bearer(&ada.access_token).await.expect(204);
    let (status, challenges, _) = call(Some(&key.secret)).await;
    assert_eq!(status, 401);
    assert!(challenges[0].contains("invalid_token"));
}
