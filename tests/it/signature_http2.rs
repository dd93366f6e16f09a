//! What HTTP/2 itself refuses, before there is a call that could have a reason.

use portcullis::signing::NONCE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{RawClient, Server, Wire, good_create, must_pass};

#[tokio::test]
async fn headers_above_16_kib_are_refused_and_the_connection_lives() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let (before, good) = (server.rows().await, good_create(&server));
    let large = good.header("x-filler", &["x".repeat(17 * 1024)]);
    // HTTP/2 itself refuses these, before there is a call that could have a reason.
    assert_eq!(client.send(&large).await.expect("answer").http, http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(server.rows().await, before);
    must_pass(&client, &good).await;
}

#[tokio::test]
async fn ten_thousand_headers_are_refused_and_others_are_served() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let (before, good) = (server.rows().await, good_create(&server));
    let many = good.header("x-filler", &vec!["x"; 10_000]);
    // Either an answer that they are too many, or the end of that connection.
    if let Ok(answer) = client.send(&many).await {
        assert_eq!(answer.http, http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    assert_eq!(server.rows().await, before);
    must_pass(&RawClient::connect(&server).await, &good).await;
}

/// A header as a literal without Huffman (RFC 7541 §6.2.2): the `http` crate holds no LF.
fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let length = |length: usize| -> Vec<u8> {
        // A prefix of seven bits.
        match length {
            0..127 => vec![length as u8],
            127..255 => vec![127, (length - 127) as u8],
            _ => vec![127, (length - 127) as u8 | 0x80, ((length - 127) >> 7) as u8],
        }
    };
    [&[0][..], &length(name.len()), name.as_bytes(), &length(value.len()), value].concat()
}

fn http2_frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Sends it by hand, and gives back the frames that answer it: kind and payload.
async fn by_hand(server: &Server, wire: &Wire, nonce: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut block = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", &wire.path)]
        .map(|(name, value)| literal(name, value.as_bytes()))
        .concat();
    for (name, value) in &wire.headers {
        block.extend(literal(name.as_str(), if name == NONCE { nonce } else { value.as_bytes() }));
    }
    let (settings, headers, data) =
        (http2_frame(4, 0, 0, b""), http2_frame(1, 4, 1, &block), http2_frame(0, 1, 1, &wire.data[0]));
    let mut tcp = tokio::net::TcpStream::connect(server.running().address()).await.expect("connect");
    let sent = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &headers, &data].concat();
    tcp.write_all(&sent).await.expect("send");
    let mut frames = Vec::new();
    let read = async {
        loop {
            let mut head = [0; 9];
            tcp.read_exact(&mut head).await?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            tcp.read_exact(&mut payload).await?;
            let is_answer = head[8] == 1 || head[3] == 7;
            frames.push((head[3], payload));
            if is_answer {
                return Ok::<_, std::io::Error>(());
            }
        }
    };
    let _ended = tokio::time::timeout(std::time::Duration::from_secs(10), read).await.expect("an answer");
    frames
}

#[tokio::test]
async fn a_line_feed_in_a_header_never_reaches_the_signed_text() {
    let server = Server::start().await;
    let (good, before) = (good_create(&server), server.rows().await);
    let nonce = good.headers[NONCE].as_bytes().to_owned();
    for text in [b"a\nb".as_slice(), b"a\rb", b"a\0b", b"\n"] {
        let bent = [text, &nonce].concat();
        let frames = by_hand(&server, &good, &bent).await;
        // RST_STREAM or GOAWAY, and in either the error code PROTOCOL_ERROR.
        let (kind, payload) = frames.last().expect("an answer");
        assert!([3, 7].contains(kind), "{frames:?}");
        let code = if *kind == 3 { &payload[..4] } else { &payload[4..8] };
        assert_eq!(code, [0, 0, 0, 1], "{frames:?}");
    }
    assert_eq!(server.rows().await, before);
    // The same bytes without it are a good call: it is what was refused.
    let frames = by_hand(&server, &good, &nonce).await;
    assert_eq!(frames.last().expect("an answer").0, 1, "{frames:?}");
    assert_eq!(server.rows().await.keys, before.keys + 1);
}
