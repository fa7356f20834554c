//! The networks that a key may be used from.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use super::model::{MAX_ITEMS, deduplicated, too_many};
use crate::error::{FieldCode, Invalid};
use crate::values::{FieldValue, ValueErrors};

/// The networks a key may be used from; empty: all.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AllowedIps(pub Vec<IpNet>);

/// One entry of [`AllowedIps`].
#[derive(PartialEq)]
struct Network(IpNet);

impl FieldValue for Network {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let text = String::parse(value)?;
        let network = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                Invalid::new(
                    FieldCode::InvalidFormat,
                    "Use CIDR notation, such as 203.0.113.0/24 or 2001:db8::/32.",
                )
            })?;
        Ok(Self(canonical(network)))
    }
}

/// The network without host bits, and IPv4-mapped IPv6 networks (RFC 4291 §2.5.5.2) as IPv4.
fn canonical(network: IpNet) -> IpNet {
    let unmapped = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok())
            .map_or(network, IpNet::V4),
        _ => network,
    };
    unmapped.trunc()
}

impl FieldValue for AllowedIps {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let networks = Vec::<Network>::parse(value)?;
        if networks.len() > MAX_ITEMS {
            return Err(too_many().into());
        }
        let networks = deduplicated(networks).into_iter().map(|Network(network)| network);
        Ok(Self(networks.collect()))
    }
}

/// Whether `networks` allow an address that `current` doesn't. No networks allow every address.
pub fn is_wider(networks: &[IpNet], current: &[IpNet]) -> bool {
    let is_within_current = |network: &IpNet| current.iter().any(|allowed| allowed.contains(network));
    !current.is_empty() && (networks.is_empty() || !networks.iter().all(is_within_current))
}

/// The address of a client, as another service reports it.
#[derive(Clone, Copy, Debug)]
pub struct IpAddress(pub IpAddr);

impl FieldValue for IpAddress {
    fn parse(value: Value) -> Result<Self, ValueErrors> {
        let text = String::parse(value)?;
        text.parse::<IpAddr>()
            .map(|ip| Self(ip.to_canonical()))
            .map_err(|_| Invalid::new(FieldCode::InvalidFormat, "Use an IPv4 or IPv6 address.").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn networks_are_wider_if_they_allow_a_further_address() {
        let wider = |networks: &[&str], current: &[&str]| {
            let parse = |list: &[&str]| list.iter().map(|one| one.parse().unwrap()).collect::<Vec<IpNet>>();
            is_wider(&parse(networks), &parse(current))
        };
        assert!(wider(&[], &["10.0.0.0/8"]));
        assert!(wider(&["10.0.0.0/7"], &["10.0.0.0/8"]));
        assert!(wider(&["10.1.0.0/16", "::1/128"], &["10.0.0.0/8"]));
        assert!(!wider(&["10.1.0.0/16"], &["10.0.0.0/8", "::1/128"]));
        assert!(!wider(&["10.0.0.0/8"], &[]));
        assert!(!wider(&[], &[]));
    }

    #[test]
    fn networks_are_normalised() {
        let list = |value: Value| {
            AllowedIps::parse(value).map(|list| list.0.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            list(json!([
                "10.1.2.3/8",
                "203.0.113.7",
                "::ffff:10.0.0.0/104",
                "2001:DB8::1/32",
                "::1"
            ]))
            .unwrap(),
            ["10.0.0.0/8", "203.0.113.7/32", "2001:db8::/32", "::1/128"]
        );
        for wrong in [
            json!(["10.0.0.0/33"]),
            json!(["10.0.0"]),
            json!([1]),
            json!("10.0.0.0/8"),
            json!(["localhost"]),
        ] {
            assert!(list(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(list(json!(vec!["10.0.0.0/8"; 101])).is_err());
    }
}
