//! `PgBouncer` in transaction mode: each transaction can run in another session of the server.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keyward::db::Freshness;
use keyward::db::migrations::{Schema, migrate};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use super::roles::use_everything;
use crate::support::{TestApp, find_program, free_address, wait_until};

struct PgBouncer {
    child: Child,
    url: SecretString,
    _folder: TempDir,
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl PgBouncer {
    /// With two sessions on the server for all clients; `None` if it is not installed.
    fn start(database: &SecretString) -> Option<Self> {
        let program = find_program("pgbouncer")?;
        let mut url = Url::parse(database.expose_secret()).unwrap();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let (host, port) = (decoded(url.host_str().unwrap()), url.port().unwrap_or(5432));
        let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
        let address = free_address();
        let folder = TempDir::new().unwrap();
        let configuration = format!(
            "[databases]\n* = host={host} port={port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = trust\n\
             auth_file = {}/users\npool_mode = transaction\ndefault_pool_size = 2\nserver_round_robin = 1\n",
            address.port(),
            folder.path().display(),
        );
        std::fs::write(folder.path().join("users"), format!("\"{user}\" \"{password}\"\n")).unwrap();
        std::fs::write(folder.path().join("pgbouncer.ini"), configuration).unwrap();
        let mut command = Command::new(program);
        if nix::unistd::geteuid().is_root() {
            // PgBouncer refuses to run as root, and only this user can enter the folder of the server's socket.
            command.args(["-u", "postgres"]);
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let child = command
            .arg(folder.path().join("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(address.port())).unwrap();
        // As for `Proxy`.
        url.query_pairs_mut().append_pair("sslmode", "disable");
        let mut pooler = Self {
            child,
            url: SecretString::from(String::from(url)),
            _folder: folder,
        };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(pooler.child.try_wait().unwrap().is_none(), "pgbouncer has exited");
            assert!(started.elapsed() < Duration::from_secs(10), "pgbouncer does not start");
            std::thread::yield_now();
        }
        Some(pooler)
    }
}

#[actix_web::test]
async fn several_instances_migrate_and_serve_through_a_pooler() {
    let app = TestApp::start_unmigrated();
    let Some(pooler) = PgBouncer::start(&app.database().url) else {
        return;
    };
    let url = &pooler.url;
    std::thread::scope(|scope| {
        let migrations: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| migrate(url).map_err(|error| error.to_string())))
            .collect();
        for migration in migrations {
            assert_eq!(migration.join().unwrap(), Ok(Schema::Current));
        }
    });
    let (first, second) = (app.another_at(url), app.another_at(url));
    // A second start, with connections that others have used before.
    for (instance, name) in [(&first, "ada"), (&second, "bob")] {
        use_everything(instance, name).await;
    }
    let carol = first.person("carol").await;
    let calls = (0..40).map(|number| {
        let instance = if number % 2 == 0 { &first } else { &second };
        instance.get("/auth/sessions").bearer(&carol.access_token).send()
    });
    let replies = futures_util::future::join_all(calls).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(
        app.number(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
             WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        ),
        0
    );
}

#[actix_web::test]
async fn no_credential_is_cached_behind_a_pooler() {
    let app = TestApp::start();
    let Some(pooler) = PgBouncer::start(&app.database().url) else {
        return;
    };
    let (first, second) = (app.another_at(&pooler.url), app.another_at(&pooler.url));
    let ada = first.person("ada").await;
    for round in 0..10 {
        let key = first
            .key(&ada, json!({"name": round.to_string(), "scopes": ["me:read"]}))
            .await;
        second.get("/me").bearer(&key.secret).await.expect(200);
        first.delete(&key.path()).bearer(&ada.access_token).await.expect(204);
        second
            .get("/me")
            .bearer(&key.secret)
            .await
            .refused(401, "invalid_token");
    }
    // Longer than the self-test of the listener.
    let started = Instant::now();
    wait_until(Duration::from_secs(5), async || {
        assert!(!first.state.db.invalidation_log().is_connected());
        started.elapsed() > Duration::from_secs(2)
    })
    .await;
}

#[actix_web::test]
async fn credentials_are_cached_behind_a_pooler_with_a_direct_way_to_listen() {
    let app = TestApp::start();
    let Some(pooler) = PgBouncer::start(&app.database().url) else {
        return;
    };
    let url = app.database().url.expose_secret();
    let direct = app.another_with(&[("DATABASE_URL", url), ("KEYWARD_DB_LISTEN_URL", url)]);
    let (first, second) = (direct.another_at(&pooler.url), direct.another_at(&pooler.url));
    for instance in [&first, &second] {
        wait_until(Duration::from_secs(10), async || {
            instance.state.db.invalidation_log().is_connected()
        })
        .await;
    }
    use_everything(&first, "bob").await;
    let ada = first.person("ada").await;
    for round in 0..10 {
        let key = first
            .key(&ada, json!({"name": round.to_string(), "scopes": ["me:read"]}))
            .await;
        for instance in [&first, &second] {
            instance.get("/me").bearer(&key.secret).await.expect(200);
        }
        assert!(second.state.credential_cache.entries() > 0);
        first.delete(&key.path()).bearer(&ada.access_token).await.expect(204);
        first.get("/me").bearer(&key.secret).await.refused(401, "invalid_token");
        wait_until(Duration::from_secs(1), async || {
            second.get("/me").bearer(&key.secret).send().await.status == 401
        })
        .await;
    }
    let key = first.key(&ada, json!({"name": "last", "scopes": ["me:read"]})).await;
    // Background work that finds nothing to do leaves the cache as it is.
    let (log, mailer) = (second.state.db.invalidation_log(), second.mailer());
    second.deliver(&mailer).await;
    let read = log.read_version();
    second.deliver(&mailer).await;
    assert_ne!(log.freshness(read, []), Freshness::Stale);
    second.person("carol").await;
    assert_eq!(log.freshness(read, []), Freshness::Stale);
    let forward = async || second.get("/auth/forward").bearer(&key.secret).send().await.status;
    assert_eq!(forward().await, 204);
    // A query would need the pooler.
    drop(pooler);
    assert_eq!(forward().await, 204);
}

#[actix_web::test]
async fn notifications_of_another_database_are_not_trusted() {
    let (app, other) = (TestApp::start(), TestApp::start());
    let wrong = app.another_with(&[
        ("DATABASE_URL", app.database().url.expose_secret()),
        ("KEYWARD_DB_LISTEN_URL", other.database().url.expose_secret()),
    ]);
    let started = Instant::now();
    wait_until(Duration::from_secs(5), async || {
        assert!(!wrong.state.db.invalidation_log().is_connected());
        started.elapsed() > Duration::from_secs(2)
    })
    .await;
}
