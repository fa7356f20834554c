//! Counts of requests and their durations. To find a metric by its labels takes longer than many a request, so each thread
//! keeps those it has found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

/// The metrics of one route.
struct Meters {
    durations: Histogram,
    /// A handful: methods a route has, and statuses it answers.
    counters: Vec<(&'static str, StatusCode, Counter)>,
}

thread_local! {
    static METERS: RefCell<HashMap<String, Meters>> = RefCell::default();
}

/// Counts a request. `route` is a pattern, of which there are few, never a path.
pub fn count(method: &Method, route: &str, status: StatusCode, took: Duration) {
    if !count_known(method, route, status, took) {
        let durations = metrics::histogram!("keyward_http_request_duration_seconds", "route" => route.to_owned());
        let counters = Vec::new();
        METERS.with_borrow_mut(|all| all.insert(route.to_owned(), Meters { durations, counters }));
        count_known(method, route, status, took);
    }
}

/// Counts a request, unless it is the first of its route on this thread; whether it did.
pub fn count_known(method: &Method, route: &str, status: StatusCode, took: Duration) -> bool {
    METERS.with_borrow_mut(|all| {
        let Some(meters) = all.get_mut(route) else {
            return false;
        };
        meters.durations.record(took.as_secs_f64());
        meters.count(word_of(method), route, status);
        true
    })
}

/// Clients may make up methods; their names must not.
fn word_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Meters {
    fn count(&mut self, method: &'static str, route: &str, status: StatusCode) {
        let known = self
            .counters
            .iter()
            .find(|known| known.0 == method && known.1 == status);
        if let Some((_, _, counter)) = known {
            counter.increment(1);
            return;
        }
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        let counter = metrics::counter!("keyward_http_requests_total", &labels);
        counter.increment(1);
        self.counters.push((method, status, counter));
    }
}
