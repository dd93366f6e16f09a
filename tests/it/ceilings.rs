//! Limits on everything that anybody who can connect may ask for: each is reached, says so, and is
//! released again.

use std::{sync::Arc, time::Duration};

use portcullis::{grpc::Ceilings, pb, signing::SIGNATURE};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{
    Headers, RawClient, Server, Setup, Wire, WriteLock,
    authority::{Authority, Folder},
    frame, good_create, message_bytes, raw_refusal, refusal,
    verify::about,
};

const SOON: Duration = Duration::from_secs(15);

async fn with(ceilings: Ceilings) -> Server {
    Server::start_with(Setup { ceilings, ..Setup::default() }).await
}

/// What a client of HTTP/2 says first: the preface, and settings without any.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A connection that is let in: the server says its settings. Or one that is closed at once.
async fn open(server: &Server) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.running().address()).await.expect("connect");
    let mut head = [0; 9];
    let answered = timeout(SOON, async {
        stream.write_all(HELLO).await?;
        stream.read_exact(&mut head).await
    });
    answered.await.expect("settings, or an end").ok().map(|_| stream)
}

/// Waits until the other end has closed it, and says after how long.
async fn closed(mut stream: TcpStream) -> Duration {
    let begin = tokio::time::Instant::now();
    let mut heard = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut heard)).await.expect("it is closed"); // or reset
    begin.elapsed()
}

async fn healthy(client: &RawClient) {
    let wire = Wire::new("/grpc.health.v1.Health/Check", &[], &Headers(Vec::new()));
    client.passes(&wire).await.expect("health is answered");
}

#[tokio::test]
async fn connections_beyond_those_of_an_address_are_closed_at_once_until_one_ends() {
    let server = with(Ceilings { connections_per_address: 3, ..Ceilings::default() }).await;
    let mut let_in = Vec::new();
    for _ in 0..3 {
        let_in.push(open(&server).await.expect("within the limit"));
    }
    assert!(open(&server).await.is_none(), "one too many");
    drop(let_in.pop());
    for _ in 0..100 {
        if open(&server).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // the end takes its time to be heard
    }
    panic!("a place that was given back stays taken");
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_calls_nothing_is_closed() {
    let (handshake, idle) = (Duration::from_millis(300), Duration::from_millis(600));
    let server = with(Ceilings { handshake, idle, ..Ceilings::default() }).await;
    let silent = TcpStream::connect(server.running().address()).await.expect("connect");
    closed(silent).await;
    let took = closed(open(&server).await.expect("let in")).await;
    assert!(took >= idle / 2, "it was given its time: {took:?}");
    // A stream is a use of it.
    let mut watch = server.watch(&server.admin, &pb::WatchRevocationsRequest::default()).await.expect("watch");
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < 3 * idle {
        watch.next().await.expect("it goes on").expect("an item");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_is_never_made_is_closed_and_holds_up_no_other() {
    let folder = Folder::of(&Authority::new());
    let ceilings = Ceilings { handshake: Duration::from_millis(300), ..Ceilings::default() };
    let tls = Some(folder.tls());
    let server = Server::start_with(Setup { ceilings, tls, folder: Some(folder.into()), ..Setup::default() }).await;
    let address = server.running().address();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.expect("connect"));
    }
    server.try_verify("sk_live_x").await.expect("another is served meanwhile");
    for stream in silent {
        closed(stream).await;
    }
}

/// A revision that is not there is waited for until a sync says so: for two seconds, where there is none.
fn slow() -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest { min_revision: 1_000_000, ..about("sk_live_x") }
}

#[tokio::test]
async fn beyond_the_calls_that_may_be_under_way_further_ones_are_refused_before_work_and_health_is_not() {
    let server = with(Ceilings { calls: 2, calls_per_address: 0, ..Ceilings::default() }).await;
    let client = RawClient::connect(&server).await;
    let headers = Headers::bearer(&server.admin.token(&server));
    let call = |question: &pb::VerifyKeyRequest| Wire::new("KeyService/VerifyKey", &message_bytes(question), &headers);
    let verify = call(&about("sk_live_x"));
    client.passes(&verify).await.expect("within the limit");
    let forged = good_create(&server).header(SIGNATURE, &["AAAA"]);
    let slow = call(&slow());
    let no_sync = WriteLock::take(&server).await;
    // Whatever comes between the other calls, or before the place of an answered one is given back, tries again.
    let under_way = async || loop {
        let answer = client.send(&slow).await.expect("an answer").result::<pb::VerifyKeyResponse>();
        match refusal(answer).1.as_str() {
            "OVERLOADED" => tokio::task::yield_now().await,
            reason => break assert_eq!(reason, "REVISION_NOT_REACHED"),
        }
    };
    let until_shed = async |wire: &Wire| loop {
        match client.passes(wire).await {
            Err(status) if status.code() == Code::ResourceExhausted => break assert_overloaded(status),
            _ => tokio::time::sleep(Duration::from_millis(5)).await, // leaves the others room to begin
        }
    };
    let meanwhile = async {
        until_shed(&verify).await;
        until_shed(&forged).await; // before its signature is looked at
        healthy(&client).await;
    };
    let ((), (), refused) = tokio::join!(under_way(), under_way(), timeout(SOON, meanwhile));
    refused.expect("both are refused while they are under way");
    no_sync.release().await;
    client.passes(&verify).await.expect("the places were given back");
}

/// Sends it so many times at once, and waits until one of them is refused because they are too many.
async fn until_too_many(client: &Arc<RawClient>, wire: &Wire, times: usize) -> JoinSet<()> {
    let mut sent = JoinSet::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..times {
        let (client, wire, tell) = (Arc::clone(client), wire.clone(), tell.clone());
        sent.spawn(async move {
            if let Err(status) = client.passes(&wire).await {
                let _ = tell.send(status); // of the others nobody waits any more
            }
        });
    }
    assert_overloaded(timeout(SOON, told.recv()).await.expect("in time").expect("one is refused"));
    sent
}

/// Sends the headers of so many calls first, and their messages only when the server has them all.
async fn burst(client: &Arc<RawClient>, wire: &Wire, calls: usize) -> Vec<Result<pb::VerifyKeyResponse, Status>> {
    let headers_sent = Arc::new(tokio::sync::Barrier::new(calls));
    let mut burst = JoinSet::new();
    for _ in 0..calls {
        let (client, wire, headers_sent) = (Arc::clone(client), wire.clone(), Arc::clone(&headers_sent));
        burst.spawn(async move {
            let between = async {
                if headers_sent.wait().await.is_leader() {
                    healthy(&client).await;
                }
                headers_sent.wait().await;
            };
            client.send_after(&wire, between).await.expect("an answer").result()
        });
    }
    burst.join_all().await
}

/// That is no attack.
#[tokio::test]
async fn all_the_streams_of_a_connection_may_wait_for_their_messages_at_once() {
    let server = with(Ceilings::default()).await;
    let headers = Headers::bearer(&server.admin.token(&server));
    let verify = Wire::new("KeyService/VerifyKey", &message_bytes(&about("sk_live_x")), &headers);
    let client = Arc::new(RawClient::connect(&server).await);
    // And one that says when their headers are there.
    for answer in burst(&client, &verify, 255).await {
        assert_eq!(answer.expect("none is one too many").verdict(), pb::Verdict::Malformed);
    }
}

/// Whoever never says all holds up nobody who has: not at the connection, not at the address, not anywhere.
#[tokio::test]
async fn messages_that_never_end_take_no_place_of_those_that_are_here() {
    let server = with(Ceilings { calls: 80, calls_per_address: 0, ..Ceilings::default() }).await;
    let headers = Headers::bearer(&server.admin.token(&server));
    let verify = Wire::new("KeyService/VerifyKey", &message_bytes(&about("sk_live_x")), &headers);
    let unended = verify.with(|wire| wire.ends = false);
    let (one, two) = (Arc::new(RawClient::connect(&server).await), Arc::new(RawClient::connect(&server).await));
    let _of_all = until_too_many(&one, &unended, 41).await;
    for answer in burst(&two, &verify, 20).await {
        answer.expect("one connection takes half of the places, and no more");
    }
    let _of_all = until_too_many(&two, &unended, 33).await;
    for client in [&one, &two] {
        for _ in 0..20 {
            client.passes(&verify).await.expect("it is here with its headers");
        }
    }
}

/// Health and reflection prove nobody, so that they may take nothing of those who do.
#[tokio::test]
async fn what_anybody_may_call_is_bounded_for_each_connection_and_sheds_nobody_else() {
    let server = with(Ceilings { calls: 40, ..Ceilings::default() }).await;
    let (one, two) = (Arc::new(RawClient::connect(&server).await), Arc::new(RawClient::connect(&server).await));
    let check = Wire::new("/grpc.health.v1.Health/Check", &[], &Headers(Vec::new()));
    let _held = until_too_many(&one, &check.with(|wire| wire.ends = false), 17).await;
    healthy(&two).await;
    let large = check.body(frame(&vec![0; 65 * 1024]));
    assert_eq!(raw_refusal(&two, &large).await.1, "MESSAGE_TOO_LARGE");
    let headers = Headers::bearer(&server.admin.token(&server));
    let verify = Wire::new("KeyService/VerifyKey", &message_bytes(&about("sk_live_x")), &headers);
    one.passes(&verify).await.expect("at the same connection");
}

fn assert_overloaded(status: Status) {
    assert_eq!((status.code(), crate::harness::reason(&status)), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
    let retry = status.get_error_details().retry_info().expect("RetryInfo").retry_delay;
    assert!(retry.is_some_and(|delay| delay > Duration::ZERO), "{retry:?}");
}

const CHECKS: u32 = 10;

/// Bad signatures cost work as good ones do: so many in a second, and the clock stands still.
#[tokio::test]
async fn a_flood_of_bad_signatures_leaves_verifies_by_a_known_token_alone() {
    for (checks_per_second, checks_per_address) in [(CHECKS, 0), (1_000_000, CHECKS)] {
        let setup = Setup { checks_per_second, checks_per_address, ..Setup::default() };
        let server = Server::start_with(setup).await;
        let key = server.key().await.secret;
        server.advance(Duration::from_secs(1)).await;
        let verify = async |token: &str| {
            let headers = Headers::bearer(token);
            server
                .with_headers::<pb::VerifyKeyResponse>("KeyService/VerifyKey", message_bytes(&about(&key)), &headers)
                .await
        };
        let known = server.admin.token(&server);
        verify(&known).await.expect("it is checked, and known from now on");
        server.advance(Duration::from_secs(1)).await;
        let client = RawClient::connect(&server).await;
        let forged = || good_create(&server).header(SIGNATURE, &["AAAA".repeat(85) + "AQ=="]);
        for _ in 0..CHECKS {
            assert_eq!(raw_refusal(&client, &forged()).await.1, "SIGNATURE_INVALID");
        }
        for _ in 0..3 * CHECKS {
            assert_overloaded(client.passes(&forged()).await.expect_err("too many"));
        }
        for _ in 0..50 {
            assert_eq!(verify(&known).await.expect("known").verdict(), pb::Verdict::Valid);
        }
        let other = server.admin.token(&server);
        assert_eq!(refusal(verify(&other).await), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
        server.advance(Duration::from_secs(1)).await;
        assert_eq!(raw_refusal(&client, &forged()).await.1, "SIGNATURE_INVALID", "a second later");
        assert_eq!(verify(&other).await.expect("a new token").verdict(), pb::Verdict::Valid);
    }
}
