//! When all connections are taken, strangers make room, and nobody who has proven who they are does.
//!
//! Everybody here comes over loopback, for which 16 connections are kept beyond `--max-connections`.

use std::{io::ErrorKind, net::Ipv4Addr, sync::Arc, time::Duration};

use portcullis::{grpc::Ceilings, meters, pb, signing::SIGNATURE};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tonic::Code;

use crate::harness::{
    Headers, RawClient, Server, Setup, Wire,
    authority::{Authority, Folder},
    good_create, message_bytes, raw_refusal,
    verify::about,
    watch::from,
};

const SOON: Duration = Duration::from_secs(10);
const FOR_LOOPBACK: usize = 16;
/// All that there are.
const PLACES: usize = 2 + FOR_LOOPBACK;

/// With a handshake that may take longer than any test waits.
fn ceilings() -> Ceilings {
    let handshake = Duration::from_mins(5);
    Ceilings { connections: PLACES - FOR_LOOPBACK, connections_per_address: 0, handshake, ..Ceilings::default() }
}

async fn server(folder: Option<Folder>) -> Server {
    let (tls, folder) = (folder.as_ref().map(Folder::tls), folder.map(Arc::new));
    let server = Server::start_with(Setup { ceilings: ceilings(), tls, folder, ..Setup::default() }).await;
    server.try_verify("sk_live_x").await.expect("the admin's own connection, from now on");
    server
}

/// From an address of this machine's own.
async fn connect(server: &Server, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("what is never read is soon too much");
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).expect("an address of loopback");
    socket.connect(server.running().address()).await.expect("connected")
}

async fn client(server: &Server, last: u8) -> RawClient {
    RawClient::over(server, connect(server, last).await).await
}

fn health(method: &str) -> Wire {
    Wire::new(&format!("/grpc.health.v1.Health/{method}"), &[], &Headers(Vec::new()))
}

fn verify(server: &Server) -> Wire {
    let headers = Headers::bearer(&server.admin.token(server));
    Wire::new("KeyService/VerifyKey", &message_bytes(&about("sk_live_x")), &headers)
}

/// A connection whose only call is an open stream of health.
struct Stranger {
    client: RawClient,
    stream: h2::RecvStream,
}

impl Stranger {
    async fn come(server: &Server, last: u8) -> Self {
        let client = client(server, last).await;
        let mut stream = client.stream(&health("Watch")).await;
        stream.data().await.expect("the status as it is").expect("told");
        Self { client, stream }
    }

    async fn is_there(&self) -> bool {
        self.client.send(&health("Check")).await.is_ok()
    }

    /// Its stream ends with its connection.
    async fn is_cut(&mut self) {
        let end = timeout(SOON, async { while let Some(Ok(_)) = self.stream.data().await {} });
        end.await.expect("its stream ends");
        assert!(!self.is_there().await, "it is let in no more");
    }
}

fn given_up() -> u64 {
    let text = meters::prometheus(&meters::read());
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("portcullis_refused_connections_total{portcullis_too_many=\"given_up\"} "));
    line.expect("counted from the start").parse().expect("a number")
}

#[tokio::test]
async fn strangers_that_hold_all_connections_open_lock_nobody_out() {
    let server = server(None).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    // With the admin's all are taken.
    let mut strangers = Vec::new();
    for last in [2, 2, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 4, 4, 4, 4, 4] {
        strangers.push(Stranger::come(&server, last).await);
    }
    let (before, mut newcomers) = (given_up(), Vec::new());
    for oldest_of_most in [0, 1] {
        let newcomer = client(&server, 5).await;
        newcomer.passes(&verify(&server)).await.expect("it is let in, and has its call answered");
        strangers.remove(oldest_of_most).is_cut().await;
        for stranger in &strangers {
            assert!(stranger.is_there().await, "one makes room, and no other");
        }
        newcomers.push(newcomer);
    }
    assert!(given_up() >= before + 2, "they are counted");
    let key = server.key().await.key.expect("a key");
    server.revoke(&key).await;
    assert_eq!(watch.revocation().await.0.key_id, key.key_id, "who has proven who they are is not cut off");
}

/// Once the end of another is heard of.
async fn let_in(server: &Server) -> RawClient {
    let begin = Instant::now();
    loop {
        let client = client(server, 3).await;
        if client.send(&health("Check")).await.is_ok() {
            return client;
        }
        assert!(begin.elapsed() < SOON, "a place that was given back stays taken");
    }
}

/// How far a stranger's connection has come.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Not even its handshake, with TLS, or its first byte.
    Silent,
    /// It asks without end, and never reads an answer.
    NeverReads,
}

impl Phase {
    async fn come(self, server: &Server) -> TcpStream {
        let mut stream = connect(server, 2).await;
        if matches!(self, Self::NeverReads) {
            const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            const PINGS: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            stream.write_all(HELLO).await.expect("let in");
            let pings = PINGS.repeat(1000);
            while let Ok(written) = timeout(Duration::from_secs(1), stream.write_all(&pings)).await {
                written.expect("still open");
            }
        }
        stream
    }
}

impl Phase {
    /// Waits until the other end has closed it.
    async fn is_cut(self, mut stream: TcpStream) {
        let closed = async {
            match self {
                Self::Silent => drop(stream.read_to_end(&mut Vec::new()).await), // or reset
                // To read would make room for what it is sent.
                Self::NeverReads => loop {
                    match stream.try_write(&[0]) {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                        _ => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                },
            }
        };
        timeout(SOON, closed).await.unwrap_or_else(|_| panic!("it is still open: {self:?}"));
    }
}

#[tokio::test]
async fn a_stranger_makes_room_at_once_however_far_its_connection_has_come() {
    for (tls, phase) in [(false, Phase::Silent), (true, Phase::Silent), (false, Phase::NeverReads)] {
        let server = server(tls.then(|| Folder::of(&Authority::new()))).await;
        let first = phase.come(&server).await;
        let mut strangers = Vec::new();
        for _ in 0..PLACES - 2 {
            strangers.push(connect(&server, 2).await);
        }
        let newcomer = timeout(SOON, async {
            match tls {
                true => drop(server.tls_channel(None).await.expect("it is let in")),
                false => client(&server, 3).await.passes(&verify(&server)).await.expect("it is let in"),
            }
        });
        newcomer.await.unwrap_or_else(|_| panic!("it is held up: {phase:?}, TLS: {tls}"));
        phase.is_cut(first).await;
        server.try_verify("sk_live_x").await.expect("who has proven who they are is not cut off");
    }
}

#[tokio::test]
async fn connections_that_have_proven_who_calls_are_never_given_up() {
    let server = server(None).await;
    let (verify, signed) = (verify(&server), good_create(&server));
    let watcher = server.admin.hire_role(&server, 1, pb::Role::Watcher, &[]).await;
    let lacking = Headers::bearer(&watcher.token(&server));
    let lacking = Wire::new("KeyService/VerifyKey", &message_bytes(&about("sk_live_x")), &lacking);
    let mut proven = Vec::new();
    for at in 0..PLACES - 1 {
        let client = client(&server, 2).await;
        match at {
            0 => client.passes(&signed).await.expect("by a signature"),
            1 => assert_eq!(raw_refusal(&client, &lacking).await, (Code::PermissionDenied, "ROLE_MISSING".to_owned())),
            _ => client.passes(&verify).await.expect("by a token"),
        }
        proven.push(client);
    }
    let heard = timeout(SOON, async { connect(&server, 3).await.read(&mut [0]).await }).await.expect("at once");
    assert!(matches!(heard, Ok(0) | Err(_)), "nobody makes room");
    for client in &proven {
        client.passes(&verify).await.expect("it is still there");
    }
    // A stranger in a place of theirs is given up, whatever it says of itself.
    proven.pop();
    let stranger = let_in(&server).await;
    let forged = signed.header(SIGNATURE, &["AAAA".repeat(85) + "AQ=="]);
    assert_eq!(raw_refusal(&stranger, &forged).await.1, "SIGNATURE_INVALID");
    client(&server, 4).await.passes(&verify).await.expect("it is let in");
    assert!(stranger.send(&health("Check")).await.is_err(), "it has made room");
}
