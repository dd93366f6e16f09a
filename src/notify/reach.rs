//! Where a webhook may lead. Whoever administers one application must not be able to make
//! the server knock on its own machine, its network or its cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    domain::{network::IpRange, webhook::WebhookUrl},
    guard::{self, Guard},
};

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Networks that may be reached although they are not public.
    pub allowed: Vec<IpRange>,
    /// Whether `http://` is taken too.
    pub http: bool,
}

/// Why a webhook may not lead there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfReach {
    #[error("must begin with https://; the operator may allow http:// with --webhook-http")]
    Plaintext,
    #[error("leads to {0}, which is not public; the operator may allow it with --webhook-allow")]
    NotPublic(&'static str),
}

impl Reach {
    /// What can be seen without asking for the addresses of a name: those are looked at when
    /// it is connected to, each time.
    pub fn check(&self, url: &WebhookUrl) -> Result<(), OutOfReach> {
        if !url.is_https() && !self.http {
            return Err(OutOfReach::Plaintext);
        }
        match (url.address(), url.host()) {
            (Some(address), _) => self.check_address(address),
            (None, name) if is_localhost(name) => self.check_address(Ipv4Addr::LOCALHOST.into()),
            (None, _) => Ok(()),
        }
    }

    pub fn check_address(&self, address: IpAddr) -> Result<(), OutOfReach> {
        if self.allowed.iter().any(|range| range.holds(address)) || !guard::on(Guard::Reach) {
            return Ok(());
        }
        match address.to_canonical() {
            IpAddr::V4(address) => not_public(address),
            IpAddr::V6(address) => match inner(address) {
                // It leads to that one, by a gateway.
                Some(inner) => return self.check_address(inner.into()),
                None => not_public_v6(address),
            },
        }
        .map_or(Ok(()), |kind| Err(OutOfReach::NotPublic(kind)))
    }
}

/// RFC 6761: every such name is this machine, whatever a resolver says.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// IANA's registry of special-purpose addresses, and what clouds added to it.
const SPECIAL: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private network"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a carrier's network"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "the local link"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private network"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a protocol's network"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a network of examples"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a protocol's network"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private network"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a network of benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "a network of examples"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a network of examples"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved network"),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a cloud's own service"),
];

fn not_public(address: Ipv4Addr) -> Option<&'static str> {
    let is_in = |network: Ipv4Addr, prefix: u32| (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0;
    SPECIAL.iter().find(|(network, prefix, _)| is_in(*network, *prefix)).map(|(_, _, kind)| *kind)
}

/// The IPv4 address that a gateway would make of it: NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(pair(high, low)),
        [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

/// Only what is assigned for all to reach, 2000::/3, can be public.
fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        [0xfe80..=0xfebf, ..] => Some("the local link"),
        [0xfc00..=0xfdff, ..] => Some("a private network"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        [0x2001, 0x0..=0x1ff, ..] => Some("a protocol's network"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0x0..=0xfff, ..] => Some("a network of examples"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved network"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(address: &str) -> Result<(), OutOfReach> {
        Reach::default().check_address(address.parse().expect(address))
    }

    #[test]
    fn what_is_not_public_is_out_of_reach_in_every_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:1::",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "2001:2::1",
            "3fff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(check(address).is_err(), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_within_reach_in_every_form() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450:4001::1",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn the_operator_allows_networks_by_name() {
        let reach = Reach { allowed: vec!["127.0.0.0/8".parse().expect("network")], http: false };
        for (address, within) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("64:ff9b::7f00:1", true),
            ("::1", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(reach.check_address(address.parse().expect("address")).is_ok(), within, "{address}");
        }
    }

    #[test]
    fn urls_are_looked_at_before_anything_is_sent() {
        let url = |text: &str| WebhookUrl::parse(text).expect(text);
        let strict = Reach::default();
        for bad in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost:8443/",
            "https://169.254.169.254/latest/meta-data",
            "https://①②⑦.⓪.⓪.①/",
        ] {
            assert!(strict.check(&url(bad)).is_err(), "{bad}");
        }
        assert_eq!(strict.check(&url("https://example.com/hook")), Ok(()));
        let open = Reach { allowed: vec!["127.0.0.0/8".parse().expect("network")], http: true };
        for good in ["http://127.0.0.1:8080/", "http://localhost:1/", "http://example.com/"] {
            assert_eq!(open.check(&url(good)), Ok(()), "{good}");
        }
    }

    proptest! {
        #[test]
        fn every_ipv6_form_of_an_address_leads_where_the_address_leads(bits: u32) {
            let [a, b, c, d] = bits.to_be_bytes();
            let v4 = Ipv4Addr::new(a, b, c, d);
            let reach = Reach::default();
            let plain = reach.check_address(v4.into());
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            for v6 in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(reach.check_address(v6.into()), plain);
            }
            prop_assert!(reach.check_address(v4.to_ipv6_compatible().into()).is_err());
        }

        #[test]
        fn what_std_calls_private_is_out_of_reach(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let known = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
                || v4.is_documentation() || v4.is_multicast() || v4.is_unspecified();
            prop_assert!(!known || Reach::default().check_address(v4.into()).is_err());
        }

        #[test]
        fn nothing_outside_of_global_unicast_is_within_reach(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            let global = v6.segments()[0] & 0xe000 == 0x2000 || inner(v6).is_some() || v6.to_ipv4_mapped().is_some();
            prop_assert!(global || Reach::default().check_address(v6.into()).is_err());
        }
    }
}
