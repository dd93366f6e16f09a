use sha2::{Digest as _, Sha256};

const SCHEME: &str = "PORTCULLIS1-RSA-SHA256";

/// The parts of a call that its signature covers.
///
/// The signed text is eight lines, each ended by LF. No part can hold an LF once it
/// passed the syntax of its header, so two different calls never share a text.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Which deployment is meant: a signature for staging is worth nothing in production.
    pub audience: &'a str,
    /// The `:path`, exactly as sent.
    pub path: &'a str,
    pub timestamp: &'a str,
    pub nonce: &'a str,
    pub kid: &'a str,
    /// The message bytes behind the five-byte gRPC prefix, exactly as sent: protobuf
    /// has no canonical form, so nothing is ever re-encoded.
    pub message: &'a [u8],
}

impl Signed<'_> {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { audience, path, timestamp, nonce, kid, message } = *self;
        let digest = Sha256::digest(message);
        let mut text = format!("{SCHEME}\n{audience}\nPOST\n{path}\n{timestamp}\n{nonce}\n{kid}\n");
        for byte in digest {
            text.push_str(&format!("{byte:02x}"));
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_lines_each_ended_by_lf() {
        let text = Signed {
            audience: "portcullis",
            path: "/portcullis.v1.KeyService/RevokeKey",
            timestamp: "1795219200",
            nonce: "0123456789abcdefghijkl",
            kid: "k",
            message: b"",
        }
        .text();
        assert_eq!(
            text,
            "PORTCULLIS1-RSA-SHA256\nportcullis\nPOST\n/portcullis.v1.KeyService/RevokeKey\n1795219200\n\
             0123456789abcdefghijkl\nk\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        );
    }
}
