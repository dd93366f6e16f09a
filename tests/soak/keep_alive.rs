use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::Server;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Empty SETTINGS (RFC 9113 §6.5).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: u8 = 6;

/// The types of the frames, in order.
fn frame_types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        types.push(head[3]);
        bytes = rest.get(length..).unwrap_or_default();
    }
    types
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_left() {
    let server = Server::start().await;
    let mut peer = TcpStream::connect(server.running().address()).await.expect("connect");
    peer.write_all(PREFACE).await.expect("preface");
    peer.write_all(&SETTINGS).await.expect("settings");
    // It reads and says nothing more: a proxy that is left behind, or a machine that is gone.
    let mut heard = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(90), peer.read_to_end(&mut heard)).await;
    end.expect("the server ends a connection that is dead").expect("read");
    assert!(frame_types(&heard).contains(&PING), "it asked before: {:?}", frame_types(&heard));
}
