//! The client of a request: its address behind trusted proxies, its user agent, and the id of the request.

use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, USER_AGENT};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use chrono::{DateTime, Utc};
use ipnet::IpNet;

use crate::error::Error;
use crate::values::{Client, RequestId};

/// `X-Request-Id` if it is well-formed, else a new id.
pub fn request_id(headers: &HeaderMap) -> RequestId {
    let from_header = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    from_header
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::generate)
}

pub fn client_of(
    headers: &HeaderMap,
    peer: Option<SocketAddr>,
    trusted: &[IpNet],
    now: DateTime<Utc>,
    request_id: RequestId,
) -> Client {
    let user_agent = headers.get(USER_AGENT).map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let printable: String = text.chars().filter(|c| !c.is_control()).take(256).collect();
        printable.into()
    });
    Client {
        now,
        ip: client_ip(headers, peer, trusted),
        request_id,
        user_agent,
    }
}

/// Walks `X-Forwarded-For` from the right, past the trusted proxies: a client can write anything to the left of them.
/// IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) become IPv4 addresses, so that both forms share limits and allow-lists.
fn client_ip(headers: &HeaderMap, peer: Option<SocketAddr>, trusted: &[IpNet]) -> IpAddr {
    let mut ip = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip().to_canonical());
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    if trusted.is_empty() || !is_trusted(ip) {
        return ip;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .collect();
    for hop in hops.into_iter().rev() {
        let hop = hop.trim();
        let parsed = hop
            .parse::<IpAddr>()
            .ok()
            .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
        // Left of an unreadable entry nothing can be trusted: use the last address that was read.
        let Some(next) = parsed else { break };
        ip = next.to_canonical();
        if !is_trusted(ip) {
            break;
        }
    }
    ip
}

impl FromRequest for Client {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            request
                .extensions()
                .get::<Self>()
                .cloned()
                .ok_or_else(|| Error::internal("with_request_context has not run")),
        )
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn ip_of(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        client_ip(&headers, Some(peer.parse().unwrap()), &trusted).to_string()
    }

    #[test]
    fn a_forwarded_address_counts_only_behind_trusted_proxies() {
        assert_eq!(ip_of("203.0.113.9:1", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(ip_of("127.0.0.1:1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            ip_of("127.0.0.1:1", &["6.6.6.6, 198.51.100.1, 10.1.1.1"]),
            "198.51.100.1"
        );
        assert_eq!(ip_of("127.0.0.1:1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(ip_of("127.0.0.1:1", &["nonsense"]), "127.0.0.1");
        assert_eq!(ip_of("[::ffff:127.0.0.1]:1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }
}
