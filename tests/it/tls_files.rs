//! The files of TLS: what is wrong with them is said at the start, and what changes is taken over
//! while calls go on.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::{
    clock::Clock,
    domain::time::Timestamp,
    grpc::{Bound, Ceilings, Listen, Tls},
    pb,
};
use rcgen::{BasicConstraints, DnType, IsCa, date_time_ymd};

use crate::harness::{
    Server, Setup,
    authority::{Authority, Folder, Pair, over, pem_der},
};

/// 2026-11-21T00:00:00Z
const NOW: Timestamp = Timestamp::from_seconds(1_795_219_200);

async fn refused(tls: Tls) -> String {
    let listen = Listen {
        address: ([127, 0, 0, 1], 0).into(),
        tls: Some(tls),
        plaintext: false,
        reflection: false,
        ceilings: Ceilings::default(),
    };
    let refused = Bound::bind(&listen, &Clock::manual(NOW)).await.expect_err("it must be refused");
    refused.to_string()
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_at_the_start_with_what_to_do() {
    let authority = Authority::new();
    let good = authority.server();
    let other = authority.server();
    let early = authority.signs(&["localhost"], |params| params.not_before = date_time_ymd(2030, 1, 1));
    let ended = authority.signs(&["localhost"], over);
    let nameless = authority.signs(&[], |params| params.distinguished_name.push(DnType::CommonName, "localhost"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let pairs = [
        (good.key.as_str(), good.certificate.as_str(), "are --tls-cert and --tls-key swapped?"),
        (&good.certificate, &good.certificate, "holds no private key that can be used, but a certificate"),
        (&good.certificate, &other.key, "is not the key of the first certificate in"),
        (&good.certificate, encrypted, "it is encrypted"),
        (&good.certificate, "", "holds no private key that can be used: it is empty"),
        ("", &good.key, "holds no certificate in PEM: it is empty"),
        ("good morning", &good.key, "holds no certificate in PEM; --tls-cert wants `-----BEGIN CERTIFICATE-----`"),
        (broken, &good.key, "does not read"),
        (&nameless.certificate, &nameless.key, "holds no name that callers could know the server by"),
        (&ended.certificate, &ended.key, "ended at 2026-01-01T00:00:00.000000Z; renew it"),
        (&early.certificate, &early.key, "is not good before 2030-01-01T00:00:00.000000Z; set the clock, or wait"),
    ];
    for (certificate, key, said) in pairs {
        let folder = Folder::of(&authority);
        folder.put(&Pair { certificate: certificate.to_owned(), key: key.to_owned() });
        let refused = refused(folder.tls()).await;
        assert!(refused.contains(said), "{said}: {refused}");
        assert!(!refused.contains("PRIVATE"), "{refused}");
    }
    let folder = Folder::of(&authority);
    let absent = refused(Tls { certificate: folder.path("absent"), ..folder.tls() }).await;
    assert!(absent.starts_with("cannot read ") && absent.contains("; --tls-cert must name a file"), "{absent}");
    let absent = refused(Tls { key: folder.path("absent"), ..folder.tls() }).await;
    assert!(absent.contains("; --tls-key must name a file"), "{absent}");
    let directory = refused(Tls { client_ca: Some(folder.path(".")), ..folder.tls() }).await;
    assert!(directory.contains("; --tls-client-ca must name a file"), "{directory}");
    folder.write("ca.pem", &good.key);
    let no_ca = refused(folder.mutual()).await;
    assert!(no_ca.contains("--tls-client-ca wants"), "{no_ca}");
    // Its key could sign for any name, and rustls would believe it.
    let leaf = authority.signs(&["localhost"], |params| params.distinguished_name.push(DnType::CommonName, "a client"));
    folder.write("ca.pem", &format!("{}{}", authority.pem, leaf.certificate));
    let no_authority = refused(folder.mutual()).await;
    assert!(
        no_authority.contains("CN=a client\" in ") && no_authority.contains("the authority that signed it"),
        "{no_authority}"
    );
}

#[tokio::test]
async fn a_certificate_that_some_callers_refuse_is_taken_and_said() {
    let authority = Authority::new();
    let folder = Folder::of(&authority);
    let listen = |tls: Tls| Listen {
        address: ([127, 0, 0, 1], 0).into(),
        tls: Some(tls),
        plaintext: false,
        reflection: false,
        ceilings: Ceilings::default(),
    };
    let remarks = async |tls: Tls| {
        let (_, remarks) = listen(tls).look(&Clock::manual(NOW)).await.expect("taken").expect("with TLS");
        remarks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(remarks(folder.mutual()).await.is_empty());
    folder.put(&authority.signs(&["localhost"], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)));
    folder.write("ca.pem", &format!("{}{}", authority.pem, Authority::with(over).pem));
    let said = remarks(folder.mutual()).await;
    assert!(said[0].contains("is an authority's (CA:TRUE), which some callers refuse"), "{said:?}");
    assert!(said[1].contains("\"CN=an authority\" in ") && said[1].contains("ended at 2026-01-01T00"), "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
}

async fn server(folder: Folder) -> Server {
    let (tls, folder) = (Some(folder.tls()), Some(Arc::new(folder)));
    Server::start_with(Setup { tls, folder, ..Setup::default() }).await
}

/// Until it is shown; fails the test if it never is.
async fn until_shown(server: &Server, pair: &Pair) {
    let wanted = pem_der(&pair.certificate);
    for _ in 0..200 {
        if server.shown_certificate().await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the new certificate is never shown");
}

/// As Kubernetes hands a secret's files out: names that lead through one link, which is turned.
#[tokio::test]
async fn a_renewed_certificate_is_taken_over_and_no_call_is_lost() {
    let authority = Authority::new();
    let folder = Folder::of(&authority);
    let renewed: Vec<Pair> = (0..3).map(|_| authority.server()).collect();
    for (at, pair) in renewed.iter().enumerate() {
        let version = folder.path(&format!("..{at}"));
        fs::create_dir(&version).expect("folder");
        fs::write(version.join("tls.crt"), &pair.certificate).expect("write");
        fs::write(version.join("tls.key"), &pair.key).expect("write");
    }
    let turn = |folder: &Folder, at: usize| {
        symlink(format!("..{at}"), folder.path("..next")).expect("link");
        fs::rename(folder.path("..next"), folder.path("..data")).expect("turn");
    };
    turn(&folder, 0);
    for name in ["tls.crt", "tls.key"] {
        fs::remove_file(folder.path(name)).expect("remove");
        symlink(format!("..data/{name}"), folder.path(name)).expect("link");
    }
    let server = server(folder).await;
    let folder = server.setup.folder.clone().expect("a folder");
    until_shown(&server, &renewed[0]).await;
    let mut watch = server.watch(&server.admin, &pb::WatchRevocationsRequest::default()).await.expect("watch");

    let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let calls = async {
        while !over.load(Ordering::Relaxed) {
            server.try_verify("sk_live_x").await.expect("over the connection from before");
            let channel = server.tls_channel(None).await.expect("a handshake at any moment");
            drop(channel);
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let renewals = async {
        for (at, pair) in renewed.iter().enumerate().skip(1) {
            turn(&folder, at);
            until_shown(&server, pair).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(calls, renewals);
    assert!(done.into_inner() > 0);
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    assert_eq!(watch.revocation().await.0.key_id, key.key_id, "the stream from before goes on");
}

#[tokio::test]
async fn files_that_do_not_fit_are_not_taken_until_they_do() {
    let authority = Authority::new();
    let folder = Folder::of(&authority);
    let (first, next) = (authority.server(), authority.server());
    folder.put(&first);
    let server = server(folder).await;
    let folder = server.setup.folder.clone().expect("a folder");
    let ended = authority.signs(&["localhost"], over);
    let bad = [
        Pair { certificate: next.certificate.clone(), key: first.key.clone() },
        Pair { certificate: String::new(), key: next.key.clone() },
        Pair { certificate: next.certificate.clone(), key: "no key".to_owned() },
        Pair { certificate: next.key.clone(), key: next.certificate.clone() },
        ended,
    ];
    for pair in bad {
        folder.put(&pair);
        tokio::time::sleep(3 * folder.tls().look_every).await;
        assert!(server.shown_certificate().await == pem_der(&first.certificate), "the one from before stays");
    }
    fs::remove_file(folder.path("tls.key")).expect("remove");
    tokio::time::sleep(3 * folder.tls().look_every).await;
    assert!(server.shown_certificate().await == pem_der(&first.certificate), "a file that is gone, too");
    folder.put(&next);
    until_shown(&server, &next).await;
}
