//! Listening to what other instances say.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use keyward::db::listener::{Event, Listener};

use crate::support::TestApp;

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keyward-listener' \
     AND datname = current_database()";

fn listen(app: &TestApp) -> (Listener, Receiver<Event>) {
    let (sender, events) = channel();
    let on_event = move |event| drop(sender.send(event));
    let listener = Listener::spawn(&app.database().url, &["keyward_test"], on_event).unwrap();
    (listener, events)
}

fn next(events: &Receiver<Event>) -> Event {
    loop {
        // Signs of life come when they come.
        match events.recv_timeout(Duration::from_secs(5)).unwrap() {
            Event::Alive { .. } => {}
            event => return event,
        }
    }
}

fn said(payload: &str) -> Event {
    Event::Notified {
        channel: "keyward_test".to_owned(),
        payload: payload.to_owned(),
    }
}

#[actix_web::test]
async fn what_another_connection_says_is_heard_once_it_is_committed_and_in_order() {
    let app = TestApp::start();
    let (_listener, events) = listen(&app);
    assert_eq!(next(&events), Event::Connected);
    let mut connection = app.connect();
    connection
        .batch_execute("BEGIN; SELECT pg_notify('keyward_test', 'taken back'); ROLLBACK")
        .unwrap();
    connection
        .batch_execute("NOTIFY keyward_other, 'to others'; NOTIFY keyward_test, 'one'; NOTIFY keyward_test, 'two'")
        .unwrap();
    assert_eq!([next(&events), next(&events)], [said("one"), said("two")]);
}

#[actix_web::test]
async fn a_lost_connection_is_told_within_a_second_and_made_anew() {
    let app = TestApp::start();
    let (_listener, events) = listen(&app);
    assert_eq!(next(&events), Event::Connected);
    let lost = Instant::now();
    app.connect().batch_execute(TERMINATE).unwrap();
    assert_eq!(next(&events), Event::Disconnected);
    assert!(lost.elapsed() < Duration::from_secs(1));
    assert_eq!(next(&events), Event::Connected);
    app.connect().batch_execute("NOTIFY keyward_test, 'again'").unwrap();
    assert_eq!(next(&events), said("again"));
}

#[actix_web::test]
async fn a_listener_that_is_stopped_leaves_nothing_behind() {
    let app = TestApp::start();
    let (listener, events) = listen(&app);
    assert_eq!(next(&events), Event::Connected);
    let asked = Instant::now();
    listener.stop();
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_eq!(next(&events), Event::Disconnected);
    assert!(events.recv().is_err(), "the thread is gone");
    let mut connection = app.connect();
    // The server notices the end of a connection a moment after the client has made it.
    let given_up = Instant::now() + Duration::from_secs(5);
    while diesel::sql_query(TERMINATE).execute(&mut connection).unwrap() > 0 {
        assert!(Instant::now() < given_up);
    }
}
