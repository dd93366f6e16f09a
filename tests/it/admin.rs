//! The port for the operator's machines: what it says of a server, and what it bears.

use std::time::{Duration, Instant};

use portcullis::admin;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Server, Setup, WriteLock};

async fn asked() -> (Server, admin::Probe) {
    let probe = admin::listen(Some(([127, 0, 0, 1], 0).into())).await.expect("port");
    let server = Server::start_with(Setup { probe: probe.clone(), ..Setup::default() }).await;
    (server, probe)
}

async fn send(probe: &admin::Probe, request: &str) -> String {
    let mut stream = TcpStream::connect(probe.address().expect("listens")).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer))
        .await
        .expect("an end")
        .expect("text");
    answer
}

/// The status, and the first words of the body.
async fn get(probe: &admin::Probe, path: &str) -> (String, String) {
    let answer = send(probe, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("headers");
    let status = head.split(' ').nth(1).expect("a status").to_owned();
    (status, body.split([':', '\n']).next().unwrap_or_default().to_owned())
}

fn is(status: &str, words: &str) -> (String, String) {
    (status.to_owned(), words.to_owned())
}

#[tokio::test]
async fn ready_is_inside_the_lease_and_not_draining_and_live_is_all_the_time() {
    let probe = admin::listen(Some(([127, 0, 0, 1], 0).into())).await.expect("port");
    assert_eq!(get(&probe, "/readyz").await, is("503", "starting"));
    assert_eq!(get(&probe, "/livez").await, is("200", "alive"));

    let (server, probe) = asked().await;
    assert_eq!(get(&probe, "/readyz").await, is("200", "ready"));
    // Somebody else has the database: no sync gets through.
    let lock = WriteLock::take(&server).await;
    server.setup.clock.advance(Duration::from_secs(11));
    assert_eq!(get(&probe, "/readyz").await, is("503", "the lease has lapsed"));
    assert_eq!(get(&probe, "/livez").await, is("200", "alive"));
    lock.release().await;
    server.running().replica().sync_pass().await;
    assert_eq!(get(&probe, "/readyz").await, is("200", "ready"));

    server.running().stop();
    server.ended_by_itself().await.expect("ended");
    assert_eq!(get(&probe, "/readyz").await, is("503", "not serving"));
    assert_eq!(get(&probe, "/livez").await, is("200", "alive"));
}

#[tokio::test]
async fn a_server_that_drains_is_not_ready_while_its_calls_end() {
    let (server, probe) = asked().await;
    let _watch = server.watch(&server.admin, &Default::default()).await.expect("watch");
    server.running().stop();
    let begun = Instant::now();
    // Whoever reads its last bookmark lets it end: until then it says so.
    loop {
        match get(&probe, "/readyz").await {
            (status, words) if status == "503" => {
                assert!(["draining", "not serving"].contains(&words.as_str()), "{words}");
                break;
            }
            ready => assert!(begun.elapsed() < Duration::from_secs(5), "{ready:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_question_is_refused_and_what_is_too_large_or_too_slow_is_cut_off() {
    let (_server, probe) = asked().await;
    assert_eq!(get(&probe, "/").await.0, "404");
    assert_eq!(get(&probe, "/metrics/../etc/passwd").await.0, "404");
    let (status, first) = get(&probe, "/metrics").await;
    assert_eq!((status.as_str(), first.starts_with("# HELP ")), ("200", true));
    let posted =
        send(&probe, "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405") && posted.to_lowercase().contains("allow: get, head"), "{posted}");
    let large =
        send(&probe, &format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "x".repeat(20_000))).await;
    assert!(large.starts_with("HTTP/1.1 431"), "{large}");
    let many = send(&probe, &format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: 1\r\n".repeat(100))).await;
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_lock_out_those_that_ask() {
    let (_server, probe) = asked().await;
    let address = probe.address().expect("listens");
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"GET /livez HT").await.expect("sent");
        silent.push(stream);
    }
    let begun = Instant::now();
    assert_eq!(get(&probe, "/livez").await, is("200", "alive"));
    // Headers may take 5 seconds; more than there are places for wait for their turn.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_address_in_use_is_said_with_the_flag_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let refused = admin::listen(Some(taken.local_addr().expect("address"))).await.expect_err("in use").to_string();
    assert!(refused.contains("--admin-listen") && refused.contains("in use"), "{refused}");
    assert_eq!(admin::listen(None).await.expect("nothing").address(), None);
}
