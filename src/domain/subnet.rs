use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The network that a client is in, as far as that says *the same place as before*: an IPv4
/// /24 or an IPv6 /48. IPv4-mapped IPv6 is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(u64);

/// Above the 48 bits of an IPv6 network, and never zero: 0 stands for no network.
const V4: u64 = 1 << 62;
const V6: u64 = 1 << 63;

impl Subnet {
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(V4 | u64::from(address.to_bits() >> 8)),
            IpAddr::V6(address) => Self(V6 | (address.to_bits() >> 80) as u64),
        }
    }

    /// Another number for each, and never zero.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What one machine or household has of addresses: of IPv6 a /64. For limits; [`Subnet`] is wider.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 & V6 == 0 {
            let bits = u32::try_from(self.0 & !V4).unwrap_or_default() << 8;
            write!(f, "{}/24", Ipv4Addr::from_bits(bits))
        } else {
            write!(f, "{}/48", Ipv6Addr::from_bits(u128::from(self.0 & !V6) << 80))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(address: &str) -> String {
        Subnet::of(address.parse().expect("an address")).to_string()
    }

    #[test]
    fn a_place_is_a_24_or_a_48() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.0/24"),
            ("192.0.2.255", "192.0.2.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("0.0.0.0", "0.0.0.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.0/24"),
            ("2001:db8:1:ffff::1", "2001:db8:1::/48"),
            ("2001:db8:1::", "2001:db8:1::/48"),
            ("::", "::/48"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::/48"),
        ] {
            assert_eq!(shown(address), network, "{address}");
        }
    }

    proptest! {
        #[test]
        fn two_addresses_are_in_one_place_when_their_networks_read_alike(a: [u8; 16], b: [u8; 16], v4: bool, near: bool) {
            let address = |bytes: [u8; 16]| match v4 {
                true => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
                false => IpAddr::from(bytes),
            };
            let b = if near { [&a[..6], &b[6..]].concat().try_into().expect("16") } else { b };
            let (a, b) = (Subnet::of(address(a)), Subnet::of(address(b)));
            prop_assert_eq!(a == b, a.to_string() == b.to_string());
            prop_assert_eq!(a == b, a.number() == b.number());
            prop_assert!(a.number() != 0);
        }
    }
}
