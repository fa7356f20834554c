//! The configurations in `docs/gateways`, run with the real gateways: those that `./scripts/test` downloads, or those
//! installed on the machine. See [`find_program`] for one that is missing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{ScopesFile, TestApp, find_program, free_address};

/// A running gateway.
struct Gateway {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Starts the gateway and waits until it serves requests at `address`.
    fn start(mut command: Command, address: SocketAddr, folder: tempfile::TempDir) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut gateway = Self {
            child,
            address,
            _folder: folder,
        };
        let started = Instant::now();
        while !is_ready(address) {
            let ended = gateway.child.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway has exited: {ended:?}");
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "the gateway does not start"
            );
            std::thread::yield_now();
        }
        gateway
    }
}

/// Whether the gateway sends its checks to Keyward. Listening is not enough: Traefik listens before it has read its routes.
fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let mut answer = String::new();
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let sent = stream.write_all(request.as_bytes());
    sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 401")
}

/// The configuration with the addresses of this test.
fn configuration(shipped: &str, app: &TestApp, address: SocketAddr, service: SocketAddr) -> String {
    shipped
        .replace("127.0.0.1:8080", &app.address.to_string())
        .replace("127.0.0.1:3000", &service.to_string())
        .replace("127.0.0.1:8000", &address.to_string())
}

fn nginx(app: &TestApp, service: SocketAddr) -> Option<Gateway> {
    let mut command = Command::new(find_program("nginx")?);
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.path().display()))
        .concat();
    let shipped = include_str!("../../../docs/gateways/nginx.conf");
    let configuration = configuration(shipped, app, address, service)
        .replace("worker_processes auto;", "worker_processes 1;")
        .replace("http {", &format!("http {{\naccess_log off;\n{temporary}"));
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let pid = folder.path().join("pid");
    command
        .args(["-e", "stderr", "-p"])
        .arg(folder.path())
        .arg("-c")
        .arg(&file)
        .arg("-g")
        .arg(format!("daemon off; pid {}; error_log stderr warn;", pid.display()));
    Some(Gateway::start(command, address, folder))
}

fn caddy(app: &TestApp, service: SocketAddr) -> Option<Gateway> {
    let mut command = Command::new(find_program("caddy")?);
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let shipped = include_str!("../../../docs/gateways/Caddyfile");
    let configuration = configuration(shipped, app, address, service);
    let file = folder.path().join("Caddyfile");
    std::fs::write(&file, format!("{{\n\tadmin off\n}}\n{configuration}")).unwrap();
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file)
        .env("HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path());
    Some(Gateway::start(command, address, folder))
}

fn traefik(app: &TestApp, service: SocketAddr) -> Option<Gateway> {
    let mut command = Command::new(find_program("traefik")?);
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let shipped = include_str!("../../../docs/gateways/traefik.yml");
    let file = folder.path().join("traefik.yml");
    std::fs::write(&file, configuration(shipped, app, address, service)).unwrap();
    command
        .arg(format!("--providers.file.filename={}", file.display()))
        .arg(format!("--entrypoints.web.address={address}"))
        .arg("--entrypoints.web.http.aliasheadersstrategy=delete")
        .args(["--global.checknewversion=false", "--global.sendanonymoususage=false"]);
    Some(Gateway::start(command, address, folder))
}

fn envoy(app: &TestApp, service: SocketAddr) -> Option<Gateway> {
    let mut command = Command::new(find_program("envoy")?);
    let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
    let shipped = include_str!("../../../docs/gateways/envoy.yaml");
    let file = folder.path().join("envoy.yaml");
    let port = |address: SocketAddr| format!("address: 127.0.0.1, port_value: {}", address.port());
    let configuration = configuration(shipped, app, address, service)
        .replace("address: 127.0.0.1, port_value: 8080", &port(app.address))
        .replace("address: 127.0.0.1, port_value: 3000", &port(service))
        .replace("address: 127.0.0.1, port_value: 8000", &port(address));
    std::fs::write(&file, configuration).unwrap();
    command
        .args(["--use-dynamic-base-id", "--concurrency", "1", "-c"])
        .arg(&file);
    Some(Gateway::start(command, address, folder))
}

/// A service that returns the headers of the request.
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
async fn nginx_passes_on_valid_credentials_with_verified_identity_headers() {
    passes_on_valid_credentials(nginx).await;
}

#[actix_web::test]
async fn nginx_lets_preflights_through_and_rejects_requests_that_cannot_be_checked() {
    lets_preflights_through_and_rejects_the_rest(nginx, 503).await;
}

#[actix_web::test]
async fn caddy_passes_on_valid_credentials_with_verified_identity_headers() {
    passes_on_valid_credentials(caddy).await;
}

#[actix_web::test]
async fn caddy_lets_preflights_through_and_rejects_requests_that_cannot_be_checked() {
    lets_preflights_through_and_rejects_the_rest(caddy, 503).await;
}

#[actix_web::test]
async fn traefik_passes_on_valid_credentials_with_verified_identity_headers() {
    passes_on_valid_credentials(traefik).await;
}

#[actix_web::test]
async fn traefik_lets_preflights_through_and_rejects_requests_that_cannot_be_checked() {
    lets_preflights_through_and_rejects_the_rest(traefik, 500).await;
}

#[actix_web::test]
async fn envoy_passes_on_valid_credentials_with_verified_identity_headers() {
    passes_on_valid_credentials(envoy).await;
}

#[actix_web::test]
async fn envoy_lets_preflights_through_and_rejects_requests_that_cannot_be_checked() {
    lets_preflights_through_and_rejects_the_rest(envoy, 503).await;
}

async fn passes_on_valid_credentials(start: impl FnOnce(&TestApp, SocketAddr) -> Option<Gateway>) {
    let file = ScopesFile::usual();
    let app = TestApp::start_with(&[
        ("KEYWARD_SCOPES_FILE", file.path()),
        ("KEYWARD_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let Some(gateway) = start(&app, echo()) else {
        return;
    };
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["data:read"]})).await;
    let call = async |credential: Option<&str>| {
        let mut call = app
            .client
            .post(format!("http://{}/some/path?scope=none", gateway.address))
            .header("x-keyward-user", "evil")
            .header("x-keyward-org", "evil")
            .header("x-keyward-require-scope", "me:read")
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
    let without_scope = app.key(&ada, json!({"scopes": ["me:read"]})).await;
    let (status, challenges, _) = call(Some(&without_scope.secret)).await;
    assert_eq!((status, challenges.len()), (403, 1));
    assert!(challenges[0].contains("scope=\"data:read\""), "{challenges:?}");
    let other_network = app
        .key(
            &ada,
            json!({"scopes": ["data:read"], "allowed_ips": ["203.0.113.0/24"]}),
        )
        .await;
    assert_eq!(call(Some(&other_network.secret)).await.0, 403);

    assert_eq!(call(Some(&key.secret)).await.0, 200);
    app.delete(&key.path()).bearer(&ada.access_token).await.expect(204);
    let (status, challenges, _) = call(Some(&key.secret)).await;
    assert_eq!(status, 401);
    assert!(challenges[0].contains("invalid_token"));
}

/// `status_if_unreachable`: what the gateway makes of a Keyward that cannot be reached.
async fn lets_preflights_through_and_rejects_the_rest(
    start: impl FnOnce(&TestApp, SocketAddr) -> Option<Gateway>,
    status_if_unreachable: u16,
) {
    let file = ScopesFile::usual();
    let mut app = TestApp::start_with(&[("KEYWARD_SCOPES_FILE", file.path())]);
    let Some(gateway) = start(&app, echo()) else {
        return;
    };
    let ada = app.person("ada").await;
    let key = app.key(&ada, json!({"scopes": ["data:read"]})).await;
    let client = app.client.clone();
    let url = format!("http://{}/some/path", gateway.address);
    let preflight = client
        .request("OPTIONS".parse().unwrap(), &url)
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("x-keyward-user", "evil")
        .bearer_auth("evil");
    let reply = preflight.try_clone().unwrap().send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let head = reply.text().await.unwrap();
    assert!(
        head.contains("options /some/path") && head.contains("access-control-request-method: post"),
        "{head}"
    );
    assert!(!head.contains("evil") && !head.contains("x-keyward-"), "{head}");
    // Without one of the headers it is an ordinary request.
    let options = client.request("OPTIONS".parse().unwrap(), &url);
    let options = options
        .header("origin", "https://app.example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(options.status(), 401);

    // The key was never used, so that it is not in the cache.
    app.database()
        .run_outside("ALTER DATABASE $DATABASE WITH ALLOW_CONNECTIONS false");
    app.database()
        .run_outside("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '$DATABASE'");
    let call = client.get(&url).bearer_auth(&key.secret);
    let reply = call.try_clone().unwrap().send().await.unwrap();
    assert_eq!(reply.status(), 503);
    assert!(reply.headers().contains_key("retry-after"));

    app.stop(|_, handle| async move { handle.stop(false).await }).await;
    let reply = call.send().await.unwrap();
    assert_eq!(reply.status(), status_if_unreachable);
    assert_eq!(
        reply.headers().contains_key("retry-after"),
        status_if_unreachable == 503
    );
    assert_eq!(preflight.send().await.unwrap().status(), 200);
}
