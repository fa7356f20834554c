use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use keyward::app;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::tell;
use crate::support::{Person, TestApp};

const PATIENCE: Duration = Duration::from_secs(5);

/// A stream, read event by event.
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
        // Its first words; from then on nothing is missed.
        assert!(stream.block().await.unwrap().starts_with(": "));
        stream
    }

    /// The next lines up to an empty one; none at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_string();
                return Some(block);
            }
            let chunk = timeout(PATIENCE, self.response.chunk())
                .await
                .expect("something in time");
            self.text += std::str::from_utf8(&chunk.ok()??).unwrap();
        }
    }

    async fn event(&mut self) -> Event {
        loop {
            let block = self.block().await.expect("an event, not the end");
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

    /// Reads to the end, which must come in time and without an event.
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
async fn what_is_told_on_one_instance_is_streamed_on_another_and_to_nobody_else() {
    let app = TestApp::start();
    let other = app.another();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    tell(&app, ada.id, "before").await;
    let mut here = Stream::open(&app, &ada.access_token, None).await;
    let mut there = Stream::open(&other, &ada.access_token, None).await;
    let mut bobs = Stream::open(&other, &bob.access_token, None).await;
    tell(&app, ada.id, "one").await;
    tell(&app, bob.id, "for bob").await;
    for stream in [&mut here, &mut there] {
        let event = stream.event().await;
        assert_eq!(event.title(), "one");
        let page = listed(&app, &ada).await;
        assert_eq!((&event.data, &event.data["id"]), (&page[0], &json!(event.id)));
    }
    assert_eq!(bobs.event().await.title(), "for bob");
}

#[actix_web::test]
async fn a_stream_goes_on_after_the_last_event_its_client_has_seen() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for title in ["one", "two", "three"] {
        tell(&app, ada.id, title).await;
        app.advance(TimeDelta::milliseconds(2));
    }
    let page = listed(&app, &ada).await;
    let first = page[2]["id"].as_str().unwrap();
    let mut stream = Stream::open(&app, &ada.access_token, Some(first)).await;
    assert_eq!(stream.event().await.title(), "two");
    assert_eq!(stream.event().await.title(), "three");
    tell(&app, ada.id, "four").await;
    assert_eq!(stream.event().await.title(), "four");
    // What was seen may be deleted meanwhile; what is no id is as good as none.
    app.delete(&format!("/notifications/{first}"))
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let mut again = Stream::open(&app, &ada.access_token, Some(first)).await;
    assert_eq!(again.event().await.title(), "two");
    let mut new = Stream::open(&app, &ada.access_token, Some("nonsense")).await;
    tell(&app, ada.id, "five").await;
    assert_eq!(new.event().await.title(), "five");
}

#[actix_web::test]
async fn what_came_while_the_listening_connection_was_lost_is_streamed_afterwards() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    let mut stream = Stream::open(&app, &ada.access_token, None).await;
    tell(&app, ada.id, "one").await;
    assert_eq!(stream.event().await.title(), "one");
    // Committed together: the listening connection ends, and what is told then is told to nobody.
    let sql = format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE application_name = 'keyward-listener' AND datname = current_database(); \
         INSERT INTO notifications (id, user_id, type, data, created_at) \
             VALUES (keyward_uuid_v7(now()), '{}', 'announcement', '{{\"title\": \"two\", \"body\": \"\"}}', now())",
        ada.id
    );
    app.connect().batch_execute(&sql).unwrap();
    assert_eq!(stream.event().await.title(), "two");
    tell(&app, ada.id, "three").await;
    assert_eq!(stream.event().await.title(), "three");
}

#[actix_web::test]
async fn a_thousand_at_once_are_streamed_without_holding_them_all() {
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
    // The newest two hundred, in order; the list has the others.
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
    let mut stays = Stream::open(&other, second["access_token"].as_str().unwrap(), None).await;
    app.request("POST", "/auth/logout")
        .bearer(&ada.access_token)
        .await
        .expect(204);
    let ended = Instant::now();
    stream.ends().await;
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    tell(&app, ada.id, "one").await;
    assert_eq!(stays.event().await.title(), "one");
    let disable = format!("UPDATE users SET disabled_at = now() WHERE id = '{}'", ada.id);
    app.connect().batch_execute(&disable).unwrap();
    let disabled = Instant::now();
    stays.ends().await;
    assert!(disabled.elapsed() < Duration::from_secs(1), "{:?}", disabled.elapsed());
}

#[actix_web::test]
async fn a_stream_ends_when_the_service_stops_and_does_not_hold_it_up() {
    let mut app = TestApp::start();
    let ada = app.person("ada").await;
    let stream = Stream::open(&app, &ada.access_token, None).await;
    let asked = Instant::now();
    app.stop(|state, handle| async move { app::stop(&state, handle, Duration::ZERO).await })
        .await;
    stream.ends().await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[actix_web::test]
async fn a_person_has_ten_streams_at_most_and_one_that_is_left_is_given_back() {
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
    let given_up = Instant::now() + PATIENCE;
    loop {
        // A stream is given back once its client is known to be gone.
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
        assert!(Instant::now() < given_up);
    }
}

#[actix_web::test]
async fn a_stream_takes_no_parameters() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    app.get("/notifications/stream?since=1")
        .bearer(&ada.access_token)
        .await
        .invalid(&[("since", "unknown_field")]);
}

#[actix_web::test]
async fn asking_for_the_head_of_a_stream_ends_at_once_and_takes_no_place() {
    let app = TestApp::start();
    let ada = app.person("ada").await;
    for _ in 0..12 {
        let reply = timeout(
            PATIENCE,
            app.request("HEAD", "/notifications/stream")
                .bearer(&ada.access_token)
                .send(),
        );
        let reply = reply.await.expect("an answer");
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("text/event-stream"))
        );
    }
    let again = app.get("/me").bearer(&ada.access_token);
    timeout(PATIENCE, again.send())
        .await
        .expect("the connection is free")
        .expect(200);
}
