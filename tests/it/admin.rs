//! The port for the operator's machines: what it says of a server, and what it bears.

use std::time::{Duration, Instant};

use portcullis::admin;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::harness::{
    Server, Setup, WriteLock,
    program::{Checkout, Process, free_port, run},
};

/// What the headers of a request may take.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

async fn asked() -> (Server, admin::Probe) {
    let probe = admin::listen(Some(([127, 0, 0, 1], 0).into())).await.expect("port");
    let server = Server::start_with(Setup { probe: probe.clone(), ..Setup::default() }).await;
    (server, probe)
}

async fn send(probe: &admin::Probe, request: &str) -> String {
    let mut stream = TcpStream::connect(probe.address().expect("listens")).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    heard(stream).await
}

async fn heard(mut stream: TcpStream) -> String {
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
    assert!(begun.elapsed() < HEADERS_WITHIN, "{:?}: it waited until they were cut off", begun.elapsed());
}

/// Whoever is slow to ask, from an address of this machine's own, and has begun.
async fn half_asked(probe: &admin::Probe, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("an address of loopback");
    let mut stream = socket.connect(probe.address().expect("listens")).await.expect("connected");
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await.expect("sent");
    stream
}

#[tokio::test]
async fn connections_of_one_address_take_no_place_of_another_s() {
    let (_server, probe) = asked().await;
    let begun = Instant::now();
    let mut slow = half_asked(&probe, [127, 0, 0, 1]).await;
    let mut strangers = Vec::new();
    for _ in 0..100 {
        strangers.push(half_asked(&probe, [127, 0, 0, 2]).await);
    }
    assert_eq!(get(&probe, "/livez").await, is("200", "alive"));
    slow.write_all(b"connection: close\r\n\r\n").await.expect("sent");
    assert!(heard(slow).await.starts_with("HTTP/1.1 200 "), "one that was there before them");
    let mut oldest = strangers.swap_remove(0);
    assert_eq!(oldest.read(&mut [0]).await.unwrap_or_default(), 0, "it has made room");
    assert!(begun.elapsed() < HEADERS_WITHIN, "{:?}: it waited until they were cut off", begun.elapsed());
}

/// A chart needs the port on the pods' network, so that it is no reason to refuse.
#[test]
fn beyond_loopback_the_log_says_who_can_read_what() {
    let checkout = Checkout::new();
    let database = "--database-url=sqlite://keys.db";
    checkout.run(&["migrate", database]).good();
    for (host, is_warned) in [("0.0.0.0", true), ("127.0.0.1", false)] {
        let port = free_port();
        let admin = format!("--admin-listen={host}:{port}");
        let served = Process::start(&mut checkout.portcullis(&["serve", database, "--listen=127.0.0.1:0", &admin]));
        until_ready(port);
        let ended = served.stop();
        let warned =
            ended.err.lines().any(|line| line.contains("WARN") && line.contains("whoever reaches this address reads"));
        assert_eq!((ended.code, warned), (Some(0), is_warned), "{}", ended.err);
    }
}

/// Waits until a process of its own serves.
fn until_ready(port: u16) {
    use std::io::{Read as _, Write as _};

    let ready = || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200 ").then_some(())
    };
    let begun = Instant::now();
    while ready().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is never ready");
        std::thread::sleep(Duration::from_millis(20)); // between two looks
    }
}

/// Where each connection needs a file, and a shell gives a process 1,024.
#[test]
fn as_many_files_may_be_open_as_the_hard_limit_lets_and_too_few_are_said() {
    let checkout = Checkout::new();
    let database = "--database-url=sqlite://keys.db";
    checkout.run(&["migrate", database]).good();
    checkout.run(&["bootstrap", database, "--out", "admin.json"]).good();
    let limited = |arguments: &[&str]| {
        let mut command = checkout.command("sh");
        let within = "ulimit -S -n 128 && ulimit -H -n 2048 && exec target/release/portcullis \"$@\"";
        command.args(["-c", within, "sh"]).args(arguments);
        command
    };
    let port = free_port();
    let admin = format!("--admin-listen=127.0.0.1:{port}");
    let served = Process::start(&mut limited(&["serve", database, "--listen=127.0.0.1:0", &admin]));
    until_ready(port);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).expect("its limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("of files");
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["2048", "2048"]);
    let said = served.stop().err;
    let line =
        said.lines().find(|line| line.contains("open files: only 2048 may be")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("WARN") && line.contains("raise the hard limit to 10256"), "{line}");

    for (connections, level) in [("--max-connections=1792", "ok"), ("--max-connections=1793", "warn")] {
        let looked = run(&mut limited(&["check", database, connections]));
        assert!(looked.out.lines().any(|line| line.starts_with(&format!("{level:<4}  open files"))), "{looked:?}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_said_with_the_flag_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let refused = admin::listen(Some(taken.local_addr().expect("address"))).await.expect_err("in use").to_string();
    assert!(refused.contains("--admin-listen") && refused.contains("in use"), "{refused}");
    assert_eq!(admin::listen(None).await.expect("nothing").address(), None);
}
