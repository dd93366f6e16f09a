//! A gRPC message as bytes: what a signature is over.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::body::Body;

use super::listen::Peer;
use crate::{auth::Method, domain::refusal::Refusal};

/// Flag and length.
pub(super) const PREFIX: usize = 5;
/// How large a request message may be.
pub(super) const MAX_MESSAGE: usize = 64 * 1024;
/// How large one may be that anybody may send: what it names, a service or a symbol, takes a few hundred bytes.
pub(super) const MAX_OPEN: usize = 4 * 1024;
/// How large the one message of an import may be: a thousand keys of a kilobyte each. A key takes 34 bytes
/// of hash, 30 of name and some 10 to 20 for each permission, range, limit and label: 150 to 300 mostly, so that
/// a thousand are less than a third of it.
pub(super) const MAX_IMPORT: usize = 1024 * 1024;
/// How many of those are held at once until whoever sends one is proven: together no more than 16 MiB.
const IMPORTS: usize = 16;
/// How long a message may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// How large the message of a method may be. A large one is taken from those only who name a key that
/// somebody has: a stranger would take up all the room there is for them.
pub(super) fn limit(method: &Method, known: bool) -> usize {
    if known && method.name() == "portcullis.v1.KeyService/ImportKeys" { MAX_IMPORT } else { MAX_MESSAGE }
}

/// The whole body of a call that sends one message.
#[derive(Debug)]
pub(super) struct Frame {
    bytes: Bytes,
    _room: Option<SemaphorePermit<'static>>,
}

impl Frame {
    /// Waits for the body. It must be exactly one frame, uncompressed, without trailers:
    /// tonic would ignore a second message and take trailers for metadata, neither is
    /// covered by a signature, and it would wait for the end of the body for ever.
    pub(super) async fn collect(
        body: Body,
        limit: usize,
        peer: Option<&Peer>,
        malformed: fn(&'static str) -> Refusal,
    ) -> Result<Self, Refusal> {
        static ROOM: Semaphore = Semaphore::const_new(IMPORTS);
        let room = match limit {
            MAX_IMPORT => Some(ROOM.try_acquire().map_err(|_| Refusal::Overloaded)?),
            _ => None,
        };
        let mut collect = pin!(Limited::new(body, limit + PREFIX).collect());
        // Most are here with their headers, and need neither a timer nor a place to wait.
        let collected = match collect.as_mut().now_or_never() {
            Some(collected) => Ok(collected),
            None => {
                let place = peer.map(|peer| peer.arrive().ok_or(Refusal::Overloaded));
                let _place = place.transpose()?;
                tokio::time::timeout(ARRIVES_WITHIN, collect).await
            }
        };
        let collected = match collected {
            Ok(Ok(collected)) => collected,
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Refusal::MessageTooLarge { limit });
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
        Ok(Self { bytes, _room: room })
    }

    /// The bytes behind the prefix.
    pub(super) fn message(&self) -> &[u8] {
        &self.bytes[PREFIX..]
    }

    pub(super) fn into_body(self) -> Body {
        Body::new(http_body_util::Full::new(self.bytes))
    }
}
