//! Networks of client addresses.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The network of a client, for limits: an IPv4 address, or the /64 of an IPv6 address, of which a client has all addresses
/// (RFC 4291 §2.5.4). An IPv4-mapped IPv6 address counts as IPv4.
pub fn network_of(ip: IpAddr) -> IpNet {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Ipv4Net::from(ip).into(),
        IpAddr::V6(ip) => Ipv6Net::new_assert(ip, 64).trunc().into(),
    }
}

/// The network that one party usually has: the /24 of an IPv4 address, the /48 of an IPv6 address (RFC 6177). An IPv4-mapped
/// IPv6 address counts as IPv4.
pub fn network_of_site(ip: IpAddr) -> IpNet {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Ipv4Net::new_assert(ip, 24).trunc().into(),
        IpAddr::V6(ip) => Ipv6Net::new_assert(ip, 48).trunc().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_64() {
        let network = |ip: &str| network_of(ip.parse().unwrap()).to_string();
        assert_eq!(network("203.0.113.7"), "203.0.113.7/32");
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.7/32");
        assert_eq!(network("2001:db8:0:1::7"), "2001:db8:0:1::/64");
        assert_eq!(network("2001:db8:0:1:ffff::"), "2001:db8:0:1::/64");
        assert_eq!(network("2001:db8:0:2::7"), "2001:db8:0:2::/64");
    }

    #[test]
    fn a_site_is_an_ipv4_24_or_an_ipv6_48() {
        let network = |ip: &str| network_of_site(ip.parse().unwrap()).to_string();
        assert_eq!(network("203.0.113.7"), "203.0.113.0/24");
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.0/24");
        assert_eq!(network("2001:db8:1:2::7"), "2001:db8:1::/48");
    }
}
