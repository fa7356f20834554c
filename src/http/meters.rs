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
    METERS.with_borrow_mut(|all| {
        if !all.contains_key(route) {
            let durations = metrics::histogram!("keyward_http_request_duration_seconds", "route" => route.to_owned());
            all.insert(
                route.to_owned(),
                Meters {
                    durations,
                    counters: Vec::new(),
                },
            );
        }
        if let Some(meters) = all.get_mut(route) {
            meters.durations.record(took.as_secs_f64());
            meters.counter(word_of(method), route, status).increment(1);
        }
    });
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
    fn counter(&mut self, method: &'static str, route: &str, status: StatusCode) -> Counter {
        let known = self
            .counters
            .iter()
            .find(|known| known.0 == method && known.1 == status);
        if let Some((_, _, counter)) = known {
            return counter.clone();
        }
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        let counter = metrics::counter!("keyward_http_requests_total", &labels);
        self.counters.push((method, status, counter.clone()));
        counter
    }
}
