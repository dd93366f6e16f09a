//! Receivers that do not do as they should.

use std::{net::ToSocketAddrs as _, time::Duration};

use portcullis::pb;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tokio_rustls::rustls::{
    self,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::harness::{
    Server,
    receiver::{Receiver, Reply},
};

/// An authority, and a server's certificate of it for 127.0.0.1.
pub(crate) fn certificates() -> (CertificateDer<'static>, rustls::ServerConfig) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("key");
    let root = authority.self_signed(&authority_key).expect("root");
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("key");
    let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = parameters.signed_by(&key, &issuer).expect("certificate");
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a configuration");
    (root.der().clone(), config)
}

async fn tried(server: &Server, url: &str) -> pb::TestWebhookResponse {
    let hook = server.hook(url).await;
    server.try_out(&hook).await
}

#[tokio::test]
async fn a_test_answers_what_came_back_and_no_answer_does_harm() {
    let mut receiver = Receiver::start().await;
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let huge = format!("HTTP/1.1 500 x\r\ncontent-length: 50000000\r\n\r\n{}", "x".repeat(3_000_000));
    let huge_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1_000_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(500));
    for (reply, delivered, status, said) in [
        (Reply::Status(200), true, 200, ""),
        (Reply::Status(299), true, 299, ""),
        (Reply::Status(400), false, 400, "HTTP 400"),
        (Reply::Status(410), false, 410, "wants nothing more"),
        (Reply::Status(503), false, 503, "HTTP 503"),
        (Reply::Raw(huge.into_bytes()), false, 500, "HTTP 500"),
        (Reply::Raw(huge_head.into_bytes()), false, 0, "no answer that is HTTP"),
        (Reply::Raw(many.into_bytes()), false, 0, "no answer that is HTTP"),
        (Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), false, 0, "no answer that is HTTP"),
        (Reply::Raw(Vec::new()), false, 0, "no answer that is HTTP"),
        (Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut".to_vec()), true, 200, ""),
        (Reply::Endless, true, 200, ""),
    ] {
        let case = format!("{reply:.80?}");
        receiver.replies(reply);
        let answer = server.try_out(&hook).await;
        assert_eq!((answer.delivered, answer.status), (delivered, status), "{case}: {}", answer.error);
        assert!(answer.error.contains(said) && answer.error.is_empty() == said.is_empty(), "{case}: {}", answer.error);
        assert!(answer.error.len() <= 200 && !answer.error.contains('\n'));
        let received = receiver.next().await;
        assert_eq!((received.kind().as_str(), received.id()), ("webhook.test", answer.message_id.as_str()));
        assert_eq!(received.signed_by(&hook.secret), 1);
    }
    assert!(server.deliveries(&hook).await.is_empty(), "it is not one of those");
    assert!(!server.shown(&hook).await.disabled);
    server.set_disabled(&hook, true).await;
    receiver.replies(Reply::Status(200));
    assert!(server.try_out(&hook).await.delivered, "where it is disabled too");
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let (mut here, mut elsewhere) = (Receiver::start().await, Receiver::start().await);
    let server = Server::start().await;
    let hook = server.hook(&here.url).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} x\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url);
        here.replies(Reply::Raw(head.into_bytes()));
        let answer = server.try_out(&hook).await;
        assert!(!answer.delivered && answer.error.contains("redirects are not followed"), "{}", answer.error);
        here.next().await;
    }
    elsewhere.nothing().await;
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_let_go_of_after_15_seconds_and_tried_again() {
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Hold);
    let server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    server.key().await;
    let held = receiver.next().await;
    let started = std::time::Instant::now();
    let mut all = server.deliveries(&hook).await;
    while all[0].attempts == 0 {
        assert!(started.elapsed() < Duration::from_secs(25));
        tokio::time::sleep(Duration::from_millis(50)).await;
        all = server.deliveries(&hook).await;
    }
    assert!(started.elapsed() > Duration::from_secs(12));
    assert_eq!((all[0].last_status, all[0].last_error.as_str()), (0, "no answer within 15 s"));
    receiver.replies(Reply::Status(200));
    server.advance(Duration::from_secs(6)).await;
    assert_eq!(receiver.next().await.id(), held.id());
}

#[tokio::test]
async fn tls_is_believed_by_the_operators_authority_and_by_no_other() {
    let (root, config) = certificates();
    let mut receiver = Receiver::start_tls(config).await;
    let mut server = Server::start().await;
    let hook = server.hook(&receiver.url).await;
    let answer = server.try_out(&hook).await;
    assert!(
        !answer.delivered && answer.error.contains("TLS") && answer.error.contains("UnknownIssuer"),
        "{}",
        answer.error
    );
    receiver.nothing().await;
    server.setup.notify.roots = vec![root.clone()];
    let server = server.restart().await;
    let answer = server.try_out(&hook).await;
    assert!(answer.delivered, "{}", answer.error);
    assert_eq!(receiver.next().await.signed_by(&hook.secret), 1);
    let elsewhere = receiver.url.replace("127.0.0.1", "localhost");
    let answer = tried(&server, &elsewhere).await;
    assert!(answer.error.contains("TLS"), "of another name: {}", answer.error);
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", plain.local_addr().expect("address"));
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
    });
    let answer = tried(&server, &url).await;
    assert!(answer.error.contains("TLS"), "no TLS at all: {}", answer.error);
}

const NOWHERE: &str = "the name has no address, or none that may be reached";

#[tokio::test]
async fn what_a_url_leads_to_is_looked_at_each_time_it_is_connected_to() {
    let mut receiver = Receiver::start().await;
    let mut server = Server::start().await;
    let hooks = [server.hook(&receiver.url).await, server.hook(&receiver.url.replace("127.0.0.1", "localhost")).await];
    for hook in &hooks {
        assert!(server.try_out(hook).await.delivered);
        receiver.next().await;
    }
    server.setup.notify.reach.allowed.clear();
    let server = server.restart().await;
    for hook in &hooks {
        let answer = server.try_out(hook).await;
        assert!(!answer.delivered && answer.error.contains("loopback, which is not public"), "{}", answer.error);
    }
    // A name that passes every look at its letters, and leads to this machine.
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned();
    let leads_inside = (name.as_str(), 80).to_socket_addrs().is_ok_and(|mut all| all.next().is_some());
    if leads_inside && !name.is_empty() {
        let answer = tried(&server, &format!("http://{name}/")).await;
        assert!(!answer.delivered && answer.error == NOWHERE, "{name}: {}", answer.error);
    }
    let answer = tried(&server, "http://name.invalid/").await;
    assert_eq!(answer.error, NOWHERE, "nobody learns which names there are inside");
    receiver.nothing().await;
}
