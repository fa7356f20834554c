use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use keyward::app;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::announce;
use crate::support::{Person, TestApp};

const TIMEOUT: Duration = Duration::from_secs(5);

/// An open stream.
struct Stream {
    response: reqwest::Response,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    data: Value,
}

impl Event {
    fn title(&self) -> &str {
        self.data["title"].as_str().unwrap()
    }
}

impl Stream {
    async fn open(app: &TestApp, token: &str, last: Option<&str>) -> Self {
        let mut request = app
            .client
            .get(format!("http://{}/notifications/stream", app.address))
            .bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut stream = Self {
            response,
            text: String::new(),
        };
        // The opening comment: no later notification is missed.
        assert!(stream.block().await.unwrap().starts_with(": "));
        stream
    }

    /// The lines up to the next empty one; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_string();
                return Some(block);
            }
            let chunk = timeout(TIMEOUT, self.response.chunk())
                .await
                .expect("data before the timeout");
            self.text += std::str::from_utf8(&chunk.ok()??).unwrap();
        }
    }

    async fn event(&mut self) -> Event {
        loop {
            let block = self.block().await.expect("an event before the end of the stream");
            if block.starts_with(':') {
                continue;
            }
            let lines: Vec<&str> = block.lines().collect();
            assert_eq!(lines.len(), 3, "{block}");
            assert_eq!(lines[0], "event: notification");
            return Event {
                id: lines[1].strip_prefix("id: ").unwrap().to_owned(),
                data: serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap(),
            };
        }
    }

    /// Expects the stream to end without an event.
    async fn ends(mut self) {
        while let Some(block) = self.block().await {
            assert!(block.starts_with(':'), "{block}");
        }
    }
}

async fn listed(app: &TestApp, person: &Person) -> Vec<Value> {
    let page = app
        .get("/notifications?limit=100")
        .bearer(&person.access_token)
        .await
        .expect(200);
    page["data"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn a_notification_is_streamed_by_every_instance_and_to_its_recipient_alone() {
    let app = TestApp::start();
    let other = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    announce(&app, ada.id, "before").await;
    let mut here = Stream::open(&app, &ada.access_token, None).await;
    let mut there = Stream::open(&other, &ada.access_token, None).await;
    let mut bobs = Stream::open(&other, &bob.access_token, None).await;
    announce(&app, ada.id, "one").await;
    announce(&app, bob.id, "for bob").await;
    for stream in [&mut here, &mut there] {
        let event = stream.event().await;
        assert_eq!(event.title(), "one");
        let page = listed(&app, &ada).await;
        assert_eq!((&event.data, &event.data["id"]), (&page[0], &json!(event.id)));
    }
    assert_eq!(bobs.event().await.title(), "for bob");
}

#[actix_web::test]
async fn a_stream_resumes_after_the_last_event_id() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for title in ["one", "two", "three"] {
        announce(&app, ada.id, title).await;
        app.advance(TimeDelta::milliseconds(2));
    }
    let page = listed(&app, &ada).await;
    let first = page[2]["id"].as_str().unwrap();
    let mut stream = Stream::open(&app, &ada.access_token, Some(first)).await;
    assert_eq!(stream.event().await.title(), "two");
    assert_eq!(stream.event().await.title(), "three");
    announce(&app, ada.id, "four").await;
    assert_eq!(stream.event().await.title(), "four");
    // The last event may have been deleted; a value that is no id is ignored.
    app.delete(&format!("/notifications/{first}"))
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let mut again = Stream::open(&app, &ada.access_token, Some(first)).await;
    assert_eq!(again.event().await.title(), "two");
    let mut new = Stream::open(&app, &ada.access_token, Some("nonsense")).await;
    announce(&app, ada.id, "five").await;
    assert_eq!(new.event().await.title(), "five");
}

#[actix_web::test]
async fn a_notification_missed_by_a_lost_listener_is_streamed_later() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let mut stream = Stream::open(&app, &ada.access_token, None).await;
    announce(&app, ada.id, "one").await;
    assert_eq!(stream.event().await.title(), "one");
    // In one transaction, so that no connection listens when the notification is announced.
    let sql = format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE application_name = 'keyward-listener' AND datname = current_database(); \
         INSERT INTO notifications (id, user_id, type, data, created_at) \
             VALUES (keyward_uuid_v7(now()), '{}', 'announcement', '{{\"title\": \"two\", \"body\": \"\"}}', now())",
        ada.id
    );
    app.connect().batch_execute(&sql).unwrap();
    assert_eq!(stream.event().await.title(), "two");
    announce(&app, ada.id, "three").await;
    assert_eq!(stream.event().await.title(), "three");
}

#[actix_web::test]
async fn of_a_thousand_notifications_at_once_the_newest_two_hundred_are_streamed() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let mut stream = Stream::open(&app, &ada.access_token, None).await;
    let sql = format!(
        "INSERT INTO notifications (id, user_id, type, data, created_at) \
         SELECT keyward_uuid_v7(now() + n * interval '1 ms'), '{}', 'announcement', \
                jsonb_build_object('title', n::text, 'body', ''), now() + n * interval '1 ms' \
         FROM generate_series(1, 1000) n",
        ada.id
    );
    app.connect().batch_execute(&sql).unwrap();
    let mut titles = Vec::new();
    while titles.last().is_none_or(|title| title != "1000") {
        titles.push(stream.event().await.title().to_owned());
    }
    // The list has the others.
    let expected: Vec<String> = (801..=1000).map(|n| n.to_string()).collect();
    assert_eq!(titles, expected);
}

#[actix_web::test]
async fn a_stream_ends_with_its_session_within_a_second() {
    let app = TestApp::start();
    let other = app.another();
    let ada = app.person("ada").await;
    let second = app.log_in("ada", crate::support::PASSWORD).await;
    let stream = Stream::open(&other, &ada.access_token, None).await;
    let mut second_stream = Stream::open(&other, second["access_token"].as_str().unwrap(), None).await;
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let ended = Instant::now();
    stream.ends().await;
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    announce(&app, ada.id, "one").await;
    assert_eq!(second_stream.event().await.title(), "one");
    let disable = format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", ada.id);
    app.connect().batch_execute(&disable).unwrap();
    let disabled = Instant::now();
    second_stream.ends().await;
    assert!(disabled.elapsed() < Duration::from_secs(1), "{:?}", disabled.elapsed());
}

#[actix_web::test]
async fn a_stream_ends_when_the_service_stops_without_delaying_it() {
    let mut app = TestApp::start();
    let ada = app.person("ada").await;
    let stream = Stream::open(&app, &ada.access_token, None).await;
    let started = Instant::now();
    app.stop(|state, handle| async move { app::stop(&state, handle, Duration::ZERO).await })
        .await;
    stream.ends().await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[actix_web::test]
async fn a_user_has_at_most_ten_streams_and_a_closed_one_no_longer_counts() {
    let app = TestApp::start();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Stream::open(&app, &ada.access_token, None).await);
    }
    let eleventh = || app.get("/notifications/stream").bearer(&ada.access_token);
    eleventh().await.refused(409, "limit_reached");
    let _bobs = Stream::open(&app, &bob.access_token, None).await;
    drop(streams.pop());
    let deadline = Instant::now() + TIMEOUT;
    loop {
        // A stream counts until a write to its client fails.
        let response = app
            .client
            .get(format!("http://{}/notifications/stream", app.address))
            .bearer_auth(&ada.access_token)
            .send()
            .await
            .unwrap();
        if response.status() == 200 {
            break;
        }
        assert!(Instant::now() < deadline);
    }
}

#[actix_web::test]
async fn a_stream_rejects_query_parameters() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.get("/notifications/stream?since=1")
        .bearer(&ada.access_token)
        .await
        .invalid(&[("since", "unknown_field")]);
}

#[actix_web::test]
async fn a_head_request_ends_at_once_and_opens_no_stream() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for _ in 0..12 {
        let reply = timeout(
            TIMEOUT,
            app.request("HEAD", "/notifications/stream")
                .bearer(&ada.access_token)
                .send(),
        );
        let reply = reply.await.expect("a response");
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("text/event-stream"))
        );
    }
    let again = app.get("/me").bearer(&ada.access_token);
    timeout(TIMEOUT, again.send())
        .await
        .expect("a free connection")
        .expect(200);
}
