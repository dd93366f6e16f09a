//! Addresses that a key may be used from.
//!
//! IPv4-mapped IPv6 (`::ffff:192.0.2.1`) is IPv4 on both sides: a dual-stack socket
//! states IPv4 callers that way, and one caller must not have two answers.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// A network in CIDR notation, without bits behind its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange(IpNet);

/// Why a text is not an [`IpRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IpRangeMalformed {
    #[error(
        "must be an IP network like 192.0.2.0/24 or 2001:db8::/32, or one IP address, without port, zone or brackets"
    )]
    NotANetwork,
    #[error("must have a prefix length of 0 to {limit}, without leading zeros")]
    Prefix { limit: u8 },
    #[error("has bits behind its prefix; did you mean {meant}?")]
    HostBits { meant: IpRange },
    #[error("is IPv4-mapped with a prefix shorter than 96; write it as an IPv4 network")]
    MappedTooWide,
}

/// Not an IP address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address like 192.0.2.1 or 2001:db8::1, without port, zone or brackets")]
pub struct AddressMalformed;

/// Reads the address of a client; IPv4-mapped IPv6 becomes IPv4.
pub fn parse_address(text: &str) -> Result<IpAddr, AddressMalformed> {
    text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| AddressMalformed)
}

impl IpRange {
    /// Whether these hold every IPv4 address between them, or every IPv6 address.
    #[must_use]
    pub fn are_everywhere(ranges: &[Self]) -> bool {
        let networks = ranges.iter().map(|range| range.0).collect();
        IpNet::aggregate(&networks).iter().any(|network| network.prefix_len() == 0)
    }

    /// Whether `address` is in here. An IPv6 range, `::/0` too, holds no IPv4 address,
    /// in whichever form it is stated.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for IpRange {
    type Err = IpRangeMalformed;

    /// Not ipnet's reader, which admits prefixes like `/08`.
    fn from_str(text: &str) -> Result<Self, IpRangeMalformed> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let written: IpAddr = address.parse().map_err(|_| IpRangeMalformed::NotANetwork)?;
        let limit = if written.is_ipv4() { 32 } else { 128 };
        let malformed = IpRangeMalformed::Prefix { limit };
        let length = prefix.map_or(Some(limit), read_prefix).filter(|length| *length <= limit).ok_or(malformed)?;
        let address = written.to_canonical();
        let length = match (written, address) {
            (IpAddr::V6(_), IpAddr::V4(_)) => length.checked_sub(96).ok_or(IpRangeMalformed::MappedTooWide)?,
            _ => length,
        };
        let network = IpNet::new(address, length).map_err(|_| malformed)?;
        let meant = Self(network.trunc());
        if meant.0 == network { Ok(meant) } else { Err(IpRangeMalformed::HostBits { meant }) }
    }
}

fn read_prefix(text: &str) -> Option<u8> {
    let fits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| fits)
}

impl fmt::Display for IpRange {
    /// With its prefix length, always.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> IpRange {
        text.parse().unwrap_or_else(|refused| panic!("{text}: {refused}"))
    }

    fn holds(network: &str, address: &str) -> bool {
        range(network).holds(parse_address(address).expect(address))
    }

    #[test]
    fn ranges_are_shown_in_one_form() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("2001:0db8::0001", "2001:db8::1/128"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:a00:1", "10.0.0.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(range(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn all_addresses_may_be_written_in_pieces() {
        for (ranges, everywhere) in [
            (&[][..], false),
            (&["0.0.0.0/0"], true),
            (&["10.0.0.0/8", "::/0"], true),
            (&["128.0.0.0/1", "0.0.0.0/2", "64.0.0.0/2"], true),
            (&["128.0.0.0/1", "0.0.0.0/2", "64.0.0.0/3"], false),
            (&["0.0.0.0/1", "8000::/1"], false),
        ] {
            let ranges: Vec<_> = ranges.iter().map(|text| range(text)).collect();
            assert_eq!(IpRange::are_everywhere(&ranges), everywhere, "{ranges:?}");
        }
    }

    #[test]
    fn a_range_is_refused_with_what_would_be_right() {
        let not_a_network = [
            "",
            " ",
            "/",
            "/8",
            "10",
            "10.0.0",
            "10.0.0/8",
            "010.0.0.0/8",
            "10.0.0.256/32",
            "0x0a.0.0.0/8",
            " 10.0.0.0/8",
            "10.0.0.1\n",
            "10.0.0.1:80",
            "[2001:db8::1]",
            "[2001:db8::]/32",
            "fe80::1%eth0",
            "fe80::%1/64",
            "2001:db8::1::/64",
            "1:2:3:4:5:6:7/64",
            "::ffff:010.0.0.1",
            "١٠.0.0.0/8",
            "localhost",
            "10.0.0.1-10.0.0.9",
            "10.0.0.*",
            "*",
        ];
        for text in not_a_network {
            assert_eq!(text.parse::<IpRange>(), Err(IpRangeMalformed::NotANetwork), "{text:?}");
        }
        for prefix in ["", "33", "08", "00", "+8", "-1", " 8", "8 ", "256", "4294967304", "8/8", "255.0.0.0", "٨"] {
            let text = format!("10.0.0.0/{prefix}");
            assert_eq!(text.parse::<IpRange>(), Err(IpRangeMalformed::Prefix { limit: 32 }), "{text:?}");
        }
        assert_eq!("::/129".parse::<IpRange>(), Err(IpRangeMalformed::Prefix { limit: 128 }));
        for text in ["::ffff:10.0.0.0/95", "::ffff:0:0/8", "::ffff:10.0.0.1/0"] {
            assert_eq!(text.parse::<IpRange>(), Err(IpRangeMalformed::MappedTooWide), "{text:?}");
        }
        for (text, meant) in
            [("10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32"), ("::ffff:10.0.0.1/104", "10.0.0.0/8")]
        {
            let refused = text.parse::<IpRange>().expect_err(text);
            assert_eq!(refused.to_string(), format!("has bits behind its prefix; did you mean {meant}?"));
        }
    }

    #[test]
    fn an_address_stands_alone() {
        assert_eq!(parse_address("::ffff:192.0.2.1"), Ok(Ipv4Addr::new(192, 0, 2, 1).into()));
        assert_eq!(parse_address("::1"), Ok(Ipv6Addr::LOCALHOST.into()));
        for text in [
            "",
            " ",
            "unknown",
            "192.0.2.1:443",
            "192.0.2.1/32",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            "fe80::1%eth0",
            " 192.0.2.1",
            "192.0.2.1, 198.51.100.1",
            "192.0.2.01",
            "3221225985",
            "192.0.513",
            "192.0.2.1\0",
            "1:2:3:4:5:6:7:8:9",
            "12345::",
            &"1".repeat(100_000),
        ] {
            assert_eq!(parse_address(text), Err(AddressMalformed), "{:?}", text.get(..40));
        }
    }

    #[test]
    fn one_caller_has_one_answer_in_either_form() {
        for (network, address, held) in [
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.1.2.3", false),
            ("::/0", "::ffff:10.1.2.3", false),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/8", "::10.1.2.3", false), // IPv4-compatible, not mapped
            ("10.0.0.0/8", "64:ff9b::10.1.2.3", false),
        ] {
            assert_eq!(holds(network, address), held, "{network} {address}");
        }
        let mapped = Ipv6Addr::from_bits(0xffff_0a00_0001);
        assert!(range("10.0.0.1").holds(mapped.into()), "not only what parse_address made");
    }

    /// Bit by bit, from the first. Other families hold nothing of each other.
    fn naive((network, length): (IpAddr, u8), address: IpAddr) -> bool {
        fn bits(address: IpAddr) -> Vec<bool> {
            let (bits, width) = match address {
                IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
                IpAddr::V6(address) => match address.to_ipv4_mapped() {
                    Some(address) => (u128::from(address.to_bits()), 32),
                    None => (address.to_bits(), 128),
                },
            };
            (0..width).rev().map(|place| bits >> place & 1 == 1).collect()
        }
        let (network, address) = (bits(network), bits(address));
        network.len() == address.len() && (0..usize::from(length)).all(|place| network[place] == address[place])
    }

    fn any_address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).to_ipv6_mapped().into()),
        ]
    }

    /// An address, and one that differs from it in one bit or in all of them.
    fn pair() -> impl Strategy<Value = (IpAddr, IpAddr)> {
        (any_address(), any_address(), 0_u32..128, any::<bool>()).prop_map(|(address, other, place, near)| {
            let flipped = match address {
                IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() ^ (1 << (place % 32))).into(),
                IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() ^ (1 << place)).into(),
            };
            (address, if near { flipped } else { other })
        })
    }

    /// The network of `length` bits around the address, as ipnet has it.
    fn around(address: IpAddr, length: u8) -> (IpRange, u8) {
        let address = address.to_canonical();
        let length = length % if address.is_ipv4() { 33 } else { 129 };
        (IpRange(IpNet::new(address, length).expect("length").trunc()), length)
    }

    proptest! {
        #[test]
        fn a_range_holds_what_agrees_in_the_bits_of_its_prefix((inside, other) in pair(), length: u8) {
            let (range, length) = around(inside, length);
            prop_assert!(range.holds(inside));
            prop_assert_eq!(range.holds(other), naive((inside, length), other), "{} {}", range, other);
        }

        #[test]
        fn ranges_read_back(address in any_address(), length: u8) {
            let (range, _) = around(address, length);
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }

        #[test]
        fn bits_behind_the_prefix_are_refused_and_the_network_is_named(address in any_address(), length: u8) {
            let (meant, length) = around(address, length);
            let read = format!("{}/{length}", address.to_canonical()).parse::<IpRange>();
            let clean = meant.0.addr() == address.to_canonical();
            prop_assert_eq!(read, if clean { Ok(meant) } else { Err(IpRangeMalformed::HostBits { meant }) });
        }

        #[test]
        fn junk_is_refused_or_reads_back(text in "[0-9a-f:./%\\[\\] +-]{0,24}|\\PC{0,20}") {
            if let Ok(range) = text.parse::<IpRange>() {
                prop_assert_eq!(range.to_string().parse(), Ok(range));
            }
        }
    }
}
