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
