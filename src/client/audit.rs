//! The audit log as somebody outside verifies it: reads it from its first event to its last,
//! and holds it against checkpoints that were kept elsewhere.

mod checkpoint;
mod event;

use std::time::Duration;

use prost::Message as _;
use tonic::Status;

pub use checkpoint::{Checkpoint, CheckpointRefused, WhyNot};

use super::{CallFailed, Client, Method, Proof, Schema};
use crate::{
    chain::{Anchor, Head, Report, Verifier},
    pb,
};

const METHOD: &str = "AuditService/ListAuditEvents";
const PAGE: i32 = 1000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a log could not be verified to its end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFailed {
    #[error(transparent)]
    Call(#[from] CallFailed),
    #[error("only an account with all applications sees the whole audit log: use its credentials")]
    NotAll,
    #[error("the server's answer is no page of an audit log ({0}): is it another version?")]
    Answer(&'static str),
}

/// Reads the whole log and says what is wrong with it. Each page is asked for behind the last
/// event of the one before, so that events that are written meanwhile are verified too;
/// `progress` hears how far it is.
pub async fn verify_audit(
    client: &Client,
    anchors: Vec<Anchor>,
    mut progress: impl FnMut(i64, i64),
) -> Result<Report, VerifyFailed> {
    let method = Schema::new().method(METHOD).map_err(|_| VerifyFailed::Answer("no such method"))?;
    let mut verifier = Verifier::new(anchors);
    loop {
        let before = verifier.seq();
        let page = page(client, &method, before).await?;
        let head = page.head.ok_or(VerifyFailed::NotAll)?;
        for event in page.audit_events {
            verifier.follow(&event::link(event)?);
        }
        if page.next_page_token.is_empty() {
            let pb::AuditHead { log_id, seq, hash, unchained_events } = head;
            return Ok(verifier.end(Head { log_id, seq, hash, loose: unchained_events }));
        }
        if verifier.seq() <= before {
            return Err(VerifyFailed::Answer("it does not go on"));
        }
        progress(verifier.seq(), head.seq);
    }
}

async fn page(client: &Client, method: &Method, after_seq: i64) -> Result<pb::ListAuditEventsResponse, VerifyFailed> {
    let request = pb::ListAuditEventsRequest {
        page_size: PAGE,
        after_seq,
        order: pb::AuditOrder::OldestFirst.into(),
        ..Default::default()
    };
    let message = request.encode_to_vec().into();
    let answer = client.unary(method, message, Proof::AsNeeded, TIMEOUT).await?;
    pb::ListAuditEventsResponse::decode(answer)
        .map_err(|error| CallFailed::from(Status::internal(format!("the answer does not read: {error}"))).into())
}
