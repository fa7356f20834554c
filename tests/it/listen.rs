//! The listener for PostgreSQL notifications.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use keyward::db::listener::{Event, Listener};

use crate::support::TestApp;

const TERMINATE_LISTENERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name = 'keyward-listener' AND datname = current_database()";

fn listen(app: &TestApp) -> (Listener, Receiver<Event>) {
    let (sender, events) = channel();
    let on_event = move |event| drop(sender.send(event));
    let listener = Listener::spawn(None, &app.database().url, &["keyward_test"], on_event).unwrap();
    (listener, events)
}

/// The next event that isn't a heartbeat.
fn next(events: &Receiver<Event>) -> Event {
    loop {
        match events.recv_timeout(Duration::from_secs(5)).unwrap() {
            Event::Alive { .. } => {}
            event => return event,
        }
    }
}

fn notified(payload: &str) -> Event {
    Event::Notified {
        channel: "keyward_test".to_owned(),
        payload: payload.to_owned(),
    }
}

#[actix_web::test]
async fn committed_notifications_arrive_in_order_and_rolled_back_ones_never() {
    let app = TestApp::start();
    let (_listener, events) = listen(&app);
    assert_eq!(next(&events), Event::Connected);
    let mut connection = app.connect();
    connection
        .batch_execute("BEGIN; SELECT pg_notify('keyward_test', 'rolled back'); ROLLBACK")
        .unwrap();
    connection
        .batch_execute("NOTIFY keyward_other, 'other'; NOTIFY keyward_test, 'one'; NOTIFY keyward_test, 'two'")
        .unwrap();
    assert_eq!([next(&events), next(&events)], [notified("one"), notified("two")]);
}

#[actix_web::test]
async fn a_lost_connection_is_reported_within_a_second_and_replaced() {
    let app = TestApp::start();
    let (_listener, events) = listen(&app);
    assert_eq!(next(&events), Event::Connected);
    let terminated_at = Instant::now();
    app.connect().batch_execute(TERMINATE_LISTENERS).unwrap();
    assert_eq!(next(&events), Event::Disconnected);
    assert!(terminated_at.elapsed() < Duration::from_secs(1));
    assert_eq!(next(&events), Event::Connected);
    app.connect().batch_execute("NOTIFY keyward_test, 'again'").unwrap();
    assert_eq!(next(&events), notified("again"));
}

#[actix_web::test]
async fn stopping_a_listener_ends_its_thread_and_its_connection() {
    let app = TestApp::start();
    let (listener, events) = listen(&app);
    assert_eq!(next(&events), Event::Connected);
    let stopped_at = Instant::now();
    listener.stop();
    assert!(stopped_at.elapsed() < Duration::from_secs(1));
    assert_eq!(next(&events), Event::Disconnected);
    assert!(events.recv().is_err(), "the thread still holds the sender");
    let mut connection = app.connect();
    // The server notices a moment later that the client has closed the connection.
    let deadline = Instant::now() + Duration::from_secs(5);
    while diesel::sql_query(TERMINATE_LISTENERS).execute(&mut connection).unwrap() > 0 {
        assert!(Instant::now() < deadline, "the connection is still open");
    }
}
