//! Authorities of client certificates that change while the server runs, and what becomes of who came by them.

use std::{sync::Arc, time::Duration};

use portcullis::pb;

use crate::{
    harness::{
        Server, Setup,
        authority::{Authority, Folder, Pair, pem_der},
        watch::Watch,
    },
    tls_clients::{GATEWAY, account, verify},
};

/// A server whose file of authorities has both, and an account with the gateway's name.
async fn server(one: &Authority, other: &Authority) -> (Server, Arc<Folder>) {
    server_that_looks(one, other, None).await
}

async fn server_that_looks(one: &Authority, other: &Authority, every: Option<Duration>) -> (Server, Arc<Folder>) {
    let folder = Folder::of(one);
    folder.write("ca.pem", &both(one, other));
    let folder = Arc::new(folder);
    let mut tls = folder.mutual();
    tls.look_every = every.unwrap_or(tls.look_every);
    let server =
        Server::start_with(Setup { tls: Some(tls), folder: Some(Arc::clone(&folder)), ..Setup::default() }).await;
    let mut wish = account(pb::Role::Verifier, &[GATEWAY]);
    wish.roles.push(pb::Role::Watcher.into());
    server.admin.create_account(&server, wish).await.expect("account");
    (server, folder)
}

fn both(one: &Authority, other: &Authority) -> String {
    format!("{}{}", one.pem, other.pem)
}

/// By a handshake that is made now.
async fn is_let_in(server: &Server, client: &Pair) -> bool {
    match server.tls_channel(Some(client)).await {
        // In TLS 1.3 the client has done its part before it hears of a refusal.
        Ok(channel) => verify(&channel, "sk_live_x").await.is_ok(),
        Err(_) => false,
    }
}

async fn until_let_in(server: &Server, client: &Pair, wanted: bool) {
    for _ in 0..200 {
        if is_let_in(server, client).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is never {}", if wanted { "let in" } else { "refused" });
}

#[tokio::test]
async fn authorities_are_taken_while_the_servers_pair_is_wrong_and_the_pair_while_they_are() {
    let (one, other) = (Authority::new(), Authority::new());
    let (server, folder) = server(&one, &other).await;
    let (of_one, of_other) = (one.signs(&[GATEWAY], |_| {}), other.signs(&[GATEWAY], |_| {}));
    assert!(is_let_in(&server, &of_one).await && is_let_in(&server, &of_other).await);

    let shown = server.shown_certificate().await;
    let (next, bad) = (one.server(), one.server());
    folder.put(&Pair { certificate: bad.certificate, key: next.key.clone() });
    folder.write("ca.pem", &one.pem);
    until_let_in(&server, &of_other, false).await;
    assert!(is_let_in(&server, &of_one).await, "the one that stayed");
    folder.write("ca.pem", &both(&one, &other));
    until_let_in(&server, &of_other, true).await;
    folder.write("ca.pem", &other.pem);
    until_let_in(&server, &of_one, false).await;
    assert!(is_let_in(&server, &of_other).await);
    assert!(server.shown_certificate().await == shown, "the server's own from before");

    for bad in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", &next.key] {
        folder.write("ca.pem", bad);
        tokio::time::sleep(3 * folder.tls().look_every).await;
        assert!(is_let_in(&server, &of_other).await && !is_let_in(&server, &of_one).await, "{bad:?}");
    }
    folder.put(&next);
    until_shown(&server, &next).await;
}

async fn until_shown(server: &Server, pair: &Pair) {
    for _ in 0..1000 {
        if server.shown_certificate().await == pem_der(&pair.certificate) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the new pair is never shown");
}

/// Of the connection that it is a stream of.
async fn ends(watch: &mut Watch) {
    let end = async { while matches!(watch.next().await, Ok(Some(_))) {} };
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("it goes on");
}

#[tokio::test]
async fn a_connection_ends_when_no_authority_vouches_for_its_client_any_more() {
    let (one, other) = (Authority::new(), Authority::new());
    let (server, folder) = server(&one, &other).await;
    let all = pb::WatchRevocationsRequest::default();
    let (of_one, of_other) = (one.signs(&[GATEWAY], |_| {}), other.signs(&[GATEWAY], |_| {}));
    let connect = async |client: &Pair| server.tls_channel(Some(client)).await.expect("connect");
    let (gone, stays) = (connect(&of_one).await, connect(&of_other).await);
    let mut watches = Vec::new();
    for channel in [&gone, &stays] {
        let mut watch = server.watch_over(channel.clone(), &all).await.expect("watch");
        watch.bookmark().await;
        watches.push(watch);
    }
    let [watch, watch_that_stays] = &mut watches[..] else { panic!("two") };

    // A renewed certificate of the server's own ends nothing, nor does an authority beside the others.
    let renewed = one.server();
    folder.put(&renewed);
    folder.write("ca.pem", &format!("{}{}", both(&one, &other), Authority::new().pem));
    until_shown(&server, &renewed).await;
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    assert_eq!(watch.revocation().await.0.key_id, key.key_id);
    assert_eq!(watch_that_stays.revocation().await.0.key_id, key.key_id);

    folder.write("ca.pem", &other.pem);
    ends(watch).await;
    verify(&gone, "sk_live_x").await.expect_err("nor does it come back");
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    assert_eq!(watch_that_stays.revocation().await.0.key_id, key.key_id, "of who is vouched for");
}

/// Written in place, by who does not know of renaming: it is cut short, and then added to.
#[tokio::test]
async fn a_file_of_authorities_that_is_half_written_ends_no_connection() {
    let (one, other) = (Authority::new(), Authority::new());
    // Longer than a test stands still between two lines.
    let (server, folder) = server_that_looks(&one, &other, Some(Duration::from_secs(2))).await;
    let of_other = other.signs(&[GATEWAY], |_| {});
    let channel = server.tls_channel(Some(&of_other)).await.expect("connect");
    let mut watch = server.watch_over(channel, &pb::WatchRevocationsRequest::default()).await.expect("watch");
    watch.bookmark().await;

    // The pair tells that there was a look, and when the next one is not yet. No look comes between two writes
    // that follow each other.
    let (renewed, again) = (one.server(), one.server());
    folder.write("ca.pem", &one.pem);
    folder.put(&renewed);
    until_shown(&server, &renewed).await;
    folder.write("ca.pem", &both(&one, &other));
    assert!(is_let_in(&server, &of_other).await, "nor is a handshake refused");
    folder.put(&again);
    until_shown(&server, &again).await;
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    assert_eq!(watch.revocation().await.0.key_id, key.key_id, "the stream goes on");
}
