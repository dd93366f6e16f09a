//! A gRPC message as bytes: what a signature is over.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tonic::body::Body;

use crate::domain::refusal::Refusal;

/// Flag and length.
const PREFIX: usize = 5;
/// How large a request message may be.
pub(super) const MAX_MESSAGE: usize = 64 * 1024;
/// How long a message may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// The whole body of a call that sends one message.
#[derive(Debug)]
pub(super) struct Frame(Bytes);

impl Frame {
    /// Waits for the body. It must be exactly one frame, uncompressed, without trailers:
    /// tonic would ignore a second message and take trailers for metadata, neither is
    /// covered by a signature, and it would wait for the end of the body for ever.
    pub(super) async fn collect(body: Body, malformed: fn(&'static str) -> Refusal) -> Result<Self, Refusal> {
        let mut collect = pin!(Limited::new(body, MAX_MESSAGE + PREFIX).collect());
        // Most are here with their headers, and need no timer.
        let collected = match collect.as_mut().now_or_never() {
            Some(collected) => Ok(collected),
            None => tokio::time::timeout(ARRIVES_WITHIN, collect).await,
        };
        let collected = match collected {
            Ok(Ok(collected)) => collected,
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Refusal::MessageTooLarge { limit: MAX_MESSAGE });
            }
            Ok(Err(_)) => return Err(malformed("the message did not arrive whole")),
            Err(_) => return Err(malformed("the message and its end did not arrive within 10 seconds")),
        };
        if collected.trailers().is_some_and(|trailers| !trailers.is_empty()) {
            return Err(malformed("a request has no trailers; send metadata as headers"));
        }
        let bytes = collected.to_bytes();
        let Some((&[flag, a, b, c, d], message)) = bytes.split_first_chunk::<PREFIX>() else {
            return Err(malformed("the body is not a gRPC message"));
        };
        if flag != 0 {
            return Err(malformed("send the message uncompressed"));
        }
        if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
            return Err(malformed("the body is not exactly one gRPC message"));
        }
        Ok(Self(bytes))
    }

    /// The bytes behind the prefix.
    pub(super) fn message(&self) -> &[u8] {
        &self.0[PREFIX..]
    }

    pub(super) fn into_body(self) -> Body {
        Body::new(http_body_util::Full::new(self.0))
    }
}
