//! The bytes of a request: one gRPC message, whole, uncompressed, of at most 64 KiB.
//! A signature covers it; a call by a token must send it in the same form.

use bytes::Bytes;
use portcullis::{pb, signing::SIGNATURE};
use prost::Message as _;
use tonic::Code;

use crate::harness::{
    Headers, RawClient, Server, Wire, all_refused, create_message, frame, frame_with, good_create, header_map,
    must_pass, nonce, refusal,
};

const MALFORMED: (Code, &str) = (Code::Unauthenticated, "SIGNATURE_MALFORMED");
const INVALID: (Code, &str) = (Code::InvalidArgument, "FIELD_INVALID");
const TOO_LARGE: (Code, &str) = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
const LIMIT: usize = 64 * 1024;

/// A good call over these message bytes.
fn signed(server: &Server, message: &[u8]) -> Wire {
    let path = "/portcullis.v1.KeyService/CreateKey";
    let headers = Headers::sign(&server.admin, path, message, server.now().seconds(), &nonce());
    Wire::new("KeyService/CreateKey", message, &headers)
}

/// A good read by a token.
fn by_token(server: &Server) -> Wire {
    let message = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() }.encode_to_vec();
    Wire::new("KeyService/ListKeys", &message, &Headers::bearer(&server.admin.token(server)))
}

fn split(data: &[u8], size: usize) -> Vec<Bytes> {
    data.chunks(size).map(Bytes::copy_from_slice).collect()
}

/// What is wrong with a body whatever proves the caller.
fn bent(good: &Wire) -> Vec<(String, Wire)> {
    let whole = good.data[0].clone();
    let message = &whole[5..];
    let length = u32::try_from(message.len()).expect("short");
    let bodies = [
        ("nothing", Bytes::new()),
        ("half a prefix", whole.slice(..3)),
        ("a prefix without its message", whole.slice(..5)),
        ("a byte short", whole.slice(..whole.len() - 1)),
        ("a byte more", [&whole[..], &[0]].concat().into()),
        ("length one less", frame_with(0, length - 1, message)),
        ("length one more", frame_with(0, length + 1, message)),
        ("length of nothing", frame_with(0, 0, message)),
        ("two messages", [&whole[..], &whole].concat().into()),
        ("a second, empty message", [&whole[..], &frame(b"")].concat().into()),
        ("an empty message first", [&frame(b"")[..], &whole].concat().into()),
        ("the flag of compression", frame_with(1, length, message)),
        ("an unknown flag", frame_with(0x80, length, message)),
        ("no prefix", whole.slice(5..)),
    ];
    let mut bent: Vec<_> = bodies.into_iter().map(|(what, body)| (what.to_owned(), good.body(body))).collect();
    bent.push(("no DATA frame".to_owned(), good.with(|wire| wire.data.clear())));
    let gzip = frame_with(1, 22, b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0\0\0");
    bent.push(("gzip".to_owned(), good.body(gzip).header("grpc-encoding", &["gzip"])));
    let trailers = header_map(&Headers(vec![("x-anything".to_owned(), "x".to_owned())]));
    bent.push(("trailers".to_owned(), good.with(|wire| wire.trailers = Some(trailers))));
    bent
}

#[tokio::test]
async fn a_signed_body_that_is_not_exactly_one_message_is_refused() {
    let server = Server::start().await;
    let good = good_create(&server);
    all_refused(&server, &good, MALFORMED, bent(&good)).await;
}

#[tokio::test]
async fn a_body_by_token_that_is_not_exactly_one_message_is_refused() {
    let server = Server::start().await;
    let good = by_token(&server);
    all_refused(&server, &good_create(&server), INVALID, bent(&good)).await;
    let client = RawClient::connect(&server).await;
    client.passes(&good).await.expect("a good one");
}

#[tokio::test]
async fn a_length_of_4_gib_is_not_waited_for() {
    let server = Server::start().await;
    let good = good_create(&server);
    let huge = |wire: &Wire| wire.body(frame_with(0, u32::MAX, &wire.data[0][5..]));
    all_refused(&server, &good, MALFORMED, [("signed".to_owned(), huge(&good))]).await;
    let bent = [("by token".to_owned(), huge(&by_token(&server)))];
    all_refused(&server, &good_create(&server), INVALID, bent).await;
}

#[tokio::test]
async fn an_encoding_that_is_named_but_not_used_is_refused_too() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let before = server.rows().await;
    let wire = good_create(&server).header("grpc-encoding", &["gzip"]);
    let answer = client.send(&wire).await.expect("answer").result::<pb::CreateKeyResponse>();
    assert_eq!(refusal(answer), (INVALID.0, INVALID.1.to_owned()));
    assert_eq!(server.rows().await.keys, before.keys);
    must_pass(&client, &good_create(&server)).await;
}

/// A message with an unknown field that makes it `size` bytes.
fn padded(mut message: Vec<u8>, size: usize) -> Vec<u8> {
    let pad = size - message.len() - 5;
    // Field 1000, length-delimited, with a three-byte length.
    message.extend([0xc2, 0x3e, pad as u8 | 0x80, (pad >> 7) as u8 | 0x80, (pad >> 14) as u8]);
    message.resize(size, b'x');
    message
}

#[tokio::test]
async fn a_message_of_64_kib_passes_and_one_byte_more_does_not() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let create = |size| signed(&server, &padded(create_message(&server), size));
    let token = by_token(&server);
    let list = |size| token.body(frame(&padded(token.data[0][5..].to_vec(), size)));
    for size in [LIMIT - 1, LIMIT] {
        must_pass(&client, &create(size)).await;
        client.passes(&list(size)).await.expect("at the limit");
    }
    let above = [LIMIT + 1, 10 * LIMIT];
    all_refused(&server, &good_create(&server), TOO_LARGE, above.map(|size| (format!("{size}"), create(size)))).await;
    all_refused(&server, &good_create(&server), TOO_LARGE, above.map(|size| (format!("{size}"), list(size)))).await;
}

#[tokio::test]
async fn a_message_may_come_a_byte_at_a_time() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    for wire in [good_create(&server), by_token(&server)] {
        let bytes = wire.with(|wire| wire.data = split(&wire.data[0], 1));
        assert!(bytes.data.len() > 30);
        client.passes(&bytes).await.expect("the same message");
    }
    // And its end in an empty frame of its own.
    must_pass(&client, &good_create(&server).with(|wire| wire.data.push(Bytes::new()))).await;
}

#[tokio::test]
async fn ten_thousand_empty_frames_cost_the_sender_its_connection_and_nobody_else() {
    let server = Server::start().await;
    let other = RawClient::connect(&server).await;
    let (before, good) = (server.rows().await, good_create(&server));
    let flood = good.with(|wire| {
        let message = wire.data.remove(0);
        wire.data = vec![Bytes::new(); 10_000];
        wire.data.push(message);
    });
    let error = RawClient::connect(&server).await.send(&flood).await.expect_err("a flood");
    // What it was sent for may be lost on a connection that is cut while it still writes.
    assert!(error.is_io() || error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM), "{error}");
    assert_eq!(server.rows().await, before);
    must_pass(&other, &good).await;
}

#[tokio::test]
async fn whoever_never_ends_a_body_is_answered_after_ten_seconds() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let before = server.rows().await;
    let endless = |wire: Wire| wire.with(|wire| wire.ends = false);
    let silent = good_create(&server).with(|wire| (wire.data, wire.ends) = (Vec::new(), false));
    let (signed, token) = (endless(good_create(&server)), endless(by_token(&server)));
    let begun = std::time::Instant::now();
    let (signed, token, silent) = tokio::join!(client.passes(&signed), client.passes(&token), client.passes(&silent));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    assert_eq!(refusal(signed), (MALFORMED.0, MALFORMED.1.to_owned()));
    assert_eq!(refusal(silent), (MALFORMED.0, MALFORMED.1.to_owned()));
    assert_eq!(refusal(token), (INVALID.0, INVALID.1.to_owned()));
    assert_eq!(server.rows().await, before);
    must_pass(&client, &good_create(&server)).await;
}

/// The same key to be made, spelt in another way.
#[tokio::test]
async fn any_spelling_of_a_message_is_good_as_long_as_it_is_the_one_that_was_signed() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let string = |number: u8, text: &str| [&[number << 3 | 2, text.len() as u8][..], text.as_bytes()].concat();
    let (app, name) = (string(1, &server.app), string(2, "key"));
    let long_tag = [&[0x92, 0x80, 0x00][..], &name[1..]].concat();
    let long_length = [&[0x12, 0x83, 0x80, 0x00][..], b"key"].concat();
    let environment: &[u8] = &[0x28, 0x81, 0x80, 0x80, 0x00];
    let unknown = [0xc0, 0x3e, 0x01];
    let spellings: [(&str, Vec<&[u8]>); 7] = [
        ("reordered", vec![&name, &app]),
        ("a scalar twice, the last counts", vec![&app, &[0x12, 1, b'x'], &name]),
        ("an unknown field", vec![&app, &name, &unknown]),
        ("an unknown field between", vec![&app, &unknown, &name]),
        ("a tag longer than need be", vec![&app, &long_tag]),
        ("a length longer than need be", vec![&app, &long_length]),
        ("a number longer than need be", vec![&app, &name, environment]),
    ];
    for (what, parts) in spellings {
        let wire = signed(&server, &parts.concat());
        let made = client.send(&wire).await.expect("answer").result::<pb::CreateKeyResponse>().expect(what);
        assert_eq!(made.key.expect("key").name, "key", "{what}");
        // Re-encoded it would be other bytes, and those nobody signed.
        let honest =
            signed(&server, &pb::CreateKeyRequest::decode(&parts.concat()[..]).expect("reads").encode_to_vec());
        let swapped = honest.header(SIGNATURE, &[&signed(&server, &parts.concat()).headers[SIGNATURE]]);
        let answer = client.send(&swapped).await.expect("answer").result::<pb::CreateKeyResponse>();
        assert_eq!(refusal(answer).1, "SIGNATURE_INVALID", "{what}");
    }
}

#[tokio::test]
async fn a_message_that_does_not_read_is_refused_with_a_reason_and_makes_nothing() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let app = [&[0x0a, server.app.len() as u8][..], server.app.as_bytes()].concat();
    // A group within a group within a group: field 1000, opened and closed.
    let nested = [[0xc3, 0x3e].repeat(10_000), [0xc4, 0x3e].repeat(10_000)].concat();
    let bad: [(&str, Vec<u8>); 9] = [
        ("10,000 groups in one another", [&app[..], &nested].concat()),
        ("a group that never ends", [&app[..], &[0xc3, 0x3e]].concat()),
        ("a string that is not UTF-8", [&app[..], &[0x12, 2, 0xc3, 0x28]].concat()),
        ("half a surrogate pair", [&app[..], &[0x12, 3, 0xed, 0xa0, 0x80]].concat()),
        ("a string longer than the message", [&app[..], &[0x12, 100, b'x']].concat()),
        ("a length of 2^64-1", [&app[..], &[0x12], &[0xff; 9], &[1]].concat()),
        ("a varint of eleven bytes", [&app[..], &[0x28], &[0xff; 10], &[1]].concat()),
        ("field number zero", vec![0x02, 0x00]),
        ("another wire type", [&app[..], &[0x10, 1]].concat()),
    ];
    for (what, message) in bad {
        let (keys, wire) = (server.rows().await.keys, signed(&server, &message));
        let answer = client.send(&wire).await.expect("answer").result::<pb::CreateKeyResponse>();
        assert_eq!(refusal(answer), (INVALID.0, INVALID.1.to_owned()), "{what}");
        assert_eq!(server.last_audit().await.outcome, "FIELD_INVALID", "{what}: signed, so on record");
        assert_eq!(server.rows().await.keys, keys, "{what}");
    }
    must_pass(&client, &good_create(&server)).await;
}
