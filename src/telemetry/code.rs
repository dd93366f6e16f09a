//! The gRPC status of an answer, as it stands on the wire.
//!
//! Not `tonic::Code`: this names what went out, it decides nothing.

use http::{HeaderMap, HeaderName};

/// Parsed once: a lookup by text would parse it for every call.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A status code from 0 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(u8);

/// <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>, by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Code {
    pub(super) const OK: Self = Self(0);
    pub(super) const CANCELLED: Self = Self(1);
    pub(super) const UNKNOWN: Self = Self(2);
    pub(super) const INTERNAL: Self = Self(13);

    /// The `grpc-status` of headers or trailers; UNKNOWN when it is there and not a code.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let number = match headers.get(GRPC_STATUS)?.as_bytes() {
            [ones @ b'0'..=b'9'] => ones - b'0',
            [b'1', ones @ b'0'..=b'6'] => 10 + ones - b'0',
            _ => return Some(Self::UNKNOWN),
        };
        Some(Self(number))
    }

    pub(super) fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }

    /// The server is at fault or unwell: somebody should look.
    pub(super) fn is_server_fault(self) -> bool {
        matches!(self.name(), "UNKNOWN" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS")
    }

    /// What OpenTelemetry's conventions for gRPC count as an error of a server span.
    pub(super) fn is_span_error(self) -> bool {
        self.is_server_fault() || matches!(self.name(), "DEADLINE_EXCEEDED" | "UNIMPLEMENTED")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_code_has_the_name_that_grpc_gives_it() {
        for (number, name) in NAMES.iter().enumerate() {
            let headers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(number))]);
            let code = Code::of(&headers).expect("code");
            assert_eq!((usize::from(code.0), code.name()), (number, *name));
            // tonic spells its names in words; its numbers are the shared ground.
            assert_eq!(tonic::Code::from_i32(i32::from(code.0)) as usize, number);
        }
    }

    #[test]
    fn what_is_not_a_code_is_unknown() {
        assert_eq!(Code::of(&HeaderMap::new()), None);
        for text in ["", "17", "-1", "00", "x", "100"] {
            let headers = HeaderMap::from_iter([(GRPC_STATUS, text.parse().expect("value"))]);
            assert_eq!(Code::of(&headers), Some(Code::UNKNOWN), "{text:?}");
        }
    }
}
