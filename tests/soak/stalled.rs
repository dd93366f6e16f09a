//! A thousand clients that read nothing.

use std::time::Duration;

use portcullis::{pb, watch::Limits};

use crate::harness::{Server, Setup, SlowClient, watch::from};

const STREAMS: usize = 1000;
const A_CONNECTION: usize = 250;
const EVENTS: usize = 600;
/// An item is above 250 bytes, so a queue a stream would grow by this much and more.
const QUEUED: u64 = (STREAMS * EVENTS * 250) as u64;

/// Resident memory of this process, which is server and clients.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 = statm.split(' ').nth(1).expect("resident").parse().expect("a number");
    pages * 4096
}

#[tokio::test]
async fn a_thousand_streams_that_nobody_reads_cost_a_place_each_and_no_queue() {
    let limits = Limits { bookmark_every: Duration::from_millis(100), ..Limits::default() };
    let server = Server::start_with(Setup { limits, ..Setup::default() }).await;
    let key = server.key().await.key.expect("key");
    let mut streams = Vec::new();
    for _ in 0..STREAMS / A_CONNECTION {
        let client = SlowClient::connect(&server, 512).await;
        for _ in 0..A_CONNECTION {
            streams.push(client.watch(&server, &server.admin, &from("")).await);
        }
    }
    let before = resident();
    let mut revisions = Vec::new();
    for round in 0..2 * EVENTS {
        let wish = pb::Key {
            application_id: key.application_id.clone(),
            key_id: key.key_id.clone(),
            disabled: round % 2 == 0,
            ..Default::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["disabled".to_owned()] });
        let request = pb::UpdateKeyRequest { key: Some(wish), update_mask, wait: 0 };
        let answer: pb::UpdateKeyResponse =
            server.signed(&server.admin, "KeyService/UpdateKey", &request).await.expect("update");
        revisions.push(answer.revision);
    }
    let grown = resident().saturating_sub(before);
    println!("{STREAMS} streams, {EVENTS} events: grown by {} KiB, {} a stream", grown / 1024, grown / STREAMS as u64);
    assert!(grown < QUEUED / 3, "grown by {grown} bytes");

    // Memory alone does not say that they stood still: a queue would have been read from.
    let (mut watch, head) = (streams.pop().expect("a stream"), revisions[revisions.len() - 1]);
    let first = watch.next().await.expect("an item");
    assert!(matches!(first.item, Some(pb::watch_revocations_response::Item::Bookmark(b)) if b.revision < head));
}
