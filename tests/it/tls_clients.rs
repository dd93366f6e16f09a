//! Client certificates: a name in one stands for a service account, where a token would do.

use std::{sync::Arc, time::Duration};

use portcullis::{
    domain::time::Timestamp,
    pb::{self, watch_revocations_response::Item},
};
use prost::Message;
use tonic::{Code, Status, transport::Channel};

use crate::harness::{
    Headers, Persona, Server, Setup,
    authority::{Authority, Folder, over},
    exchange_over, path, reason, refusal,
    verify::about,
    violations,
};

pub(crate) const GATEWAY: &str = "spiffe://example.org/gateway";

async fn server(authority: &Authority) -> Server {
    let folder = Folder::of(authority);
    let (tls, folder) = (Some(folder.mutual()), Some(Arc::new(folder)));
    Server::start_with(Setup { tls, folder, ..Setup::default() }).await
}

async fn call<A: Message + Default>(
    channel: &Channel,
    method: &str,
    request: &impl Message,
    headers: &Headers,
) -> Result<A, Status> {
    let answer = exchange_over(channel.clone(), &path(method), request.encode_to_vec(), headers).await?;
    Ok(A::decode(answer.into_inner()).expect("reads"))
}

/// With nothing but the connection.
pub(crate) async fn verify(channel: &Channel, secret: &str) -> Result<pb::VerifyKeyResponse, Status> {
    call(channel, "KeyService/VerifyKey", &about(secret), &Headers(Vec::new())).await
}

pub(crate) fn account(role: pb::Role, names: &[&str]) -> pb::ServiceAccount {
    pb::ServiceAccount {
        name: "gateway".to_owned(),
        roles: vec![role.into()],
        all_applications: true,
        client_certificate_names: names.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

async fn set_names(by: &Persona, server: &Server, id: &str, names: &[&str]) -> Result<pb::ServiceAccount, Status> {
    by.update_account(server, id, &["client_certificate_names"], account(pb::Role::Verifier, names)).await
}

fn is<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    assert_eq!(refusal(answer), (code, reason.to_owned()));
}

#[tokio::test]
async fn a_certificate_stands_for_the_account_that_has_its_name() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let made = server.admin.create_account(&server, account(pb::Role::Verifier, &[GATEWAY])).await.expect("account");
    assert_eq!(made.client_certificate_names, [GATEWAY]);
    let secret = server.key().await.secret;

    let gateway = authority.signs(&["unknown.example.org", GATEWAY], |_| {});
    let channel = server.tls_channel(Some(&gateway)).await.expect("connect");
    assert_eq!(verify(&channel, &secret).await.expect("verify").verdict(), pb::Verdict::Valid);

    // Its role is the account's, and what changes something wants a signature.
    let get = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let nothing = Headers(Vec::new());
    let listed = call::<pb::ListKeysResponse>(&channel, "KeyService/ListKeys", &get, &nothing).await;
    is(listed, Code::PermissionDenied, "ROLE_MISSING");
    let create = pb::CreateKeyRequest { application_id: server.app.clone(), ..Default::default() };
    let created = call::<pb::CreateKeyResponse>(&channel, "KeyService/CreateKey", &create, &nothing).await;
    is(created, Code::Unauthenticated, "SIGNATURE_MISSING");

    // What a call says of itself counts before what its connection says.
    let token = Headers::bearer(&server.admin.token(&server));
    call::<pb::ListKeysResponse>(&channel, "KeyService/ListKeys", &get, &token).await.expect("by the token");
    let bad = Headers::bearer("no token");
    let refused = call::<pb::VerifyKeyResponse>(&channel, "KeyService/VerifyKey", &about(&secret), &bad).await;
    is(refused, Code::Unauthenticated, "TOKEN_INVALID");

    // A stranger's name, no names at all, and no certificate.
    for names in [&["spiffe://example.org/gateway/2"][..], &["gateway"], &[]] {
        let stranger = authority.signs(names, |_| {});
        let channel = server.tls_channel(Some(&stranger)).await.expect("connect");
        is(verify(&channel, &secret).await, Code::Unauthenticated, "TOKEN_INVALID");
    }
    let channel = server.tls_channel(None).await.expect("connect");
    is(verify(&channel, &secret).await, Code::Unauthenticated, "SIGNATURE_MISSING");

    // Whoever has names of two is neither.
    let dns = "gateway.example.org";
    server.admin.create_account(&server, account(pb::Role::Verifier, &[dns])).await.expect("account");
    let one = authority.signs(&["Gateway.example.org"], |_| {});
    let channel = server.tls_channel(Some(&one)).await.expect("connect");
    verify(&channel, &secret).await.expect("a DNS name, whatever its case");
    let both = authority.signs(&[dns, GATEWAY], |_| {});
    let channel = server.tls_channel(Some(&both)).await.expect("connect");
    is(verify(&channel, &secret).await, Code::Unauthenticated, "TOKEN_INVALID");

    // Names are kept, and an account that is disabled has none.
    let server = server.restart().await;
    let channel = server.tls_channel(Some(&gateway)).await.expect("connect");
    verify(&channel, &secret).await.expect("after a restart");
    server.admin.disable_account(&server, &made.service_account_id).await.expect("disable");
    is(verify(&channel, &secret).await, Code::Unauthenticated, "TOKEN_INVALID");
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_after_its_end_proves_nothing() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let mut wish = account(pb::Role::Verifier, &[GATEWAY]);
    wish.roles.push(pb::Role::Watcher.into());
    server.admin.create_account(&server, wish).await.expect("account");
    let secret = server.key().await.secret;
    for bad in [Authority::new().signs(&[GATEWAY], |_| {}), authority.signs(&[GATEWAY], over)] {
        // In TLS 1.3 the client has done its part before it hears of the refusal.
        let refused = match server.tls_channel(Some(&bad)).await {
            Ok(channel) => verify(&channel, &secret).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    // One that ends while the connection stands: the machine's clock admits it, the server's moves on.
    let end_time = time::OffsetDateTime::now_utc() + Duration::from_hours(1);
    let soon = authority.signs(&[GATEWAY], |params| params.not_after = end_time);
    let channel = server.tls_channel(Some(&soon)).await.expect("connect");
    verify(&channel, &secret).await.expect("not yet");
    let mut watch = server.watch_over(channel.clone(), &pb::WatchRevocationsRequest::default()).await.expect("watch");
    watch.bookmark().await;
    let left = Timestamp::from_seconds(end_time.unix_timestamp()).seconds() - server.now().seconds();
    server.advance(Duration::from_secs(u64::try_from(left).expect("later") + 1)).await;
    is(verify(&channel, &secret).await, Code::Unauthenticated, "TOKEN_INVALID");
    // Nor does a stream outlive it.
    let (told, end) = watch.rest().await;
    let is_told = told.iter().any(|item| matches!(item, Item::Revocation(_)));
    assert!(!is_told, "nothing is told after the name is gone");
    is(end, Code::Unauthenticated, "SIGNATURE_INVALID");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let authority = Authority::new();
    let folder = Folder::of(&authority);
    let mut tls = folder.mutual();
    tls.client_required = true;
    let setup = Setup { tls: Some(tls), folder: Some(Arc::new(folder)), ..Setup::default() };
    let server = Server::start_with(setup).await;
    let refused = match server.tls_channel(None).await {
        Ok(channel) => verify(&channel, "sk_live_x").await.expect_err("no certificate").code() != Code::Unauthenticated,
        Err(_) => true,
    };
    assert!(refused, "at the handshake");
    let channel = server.tls_channel(Some(&authority.signs(&[GATEWAY], |_| {}))).await.expect("connect");
    is(verify(&channel, "sk_live_x").await, Code::Unauthenticated, "TOKEN_INVALID");
}

#[tokio::test]
async fn a_name_belongs_to_one_account_and_is_given_by_who_reaches_every_application() {
    let server = Server::start().await;
    let admin = &server.admin;
    let one = admin.create_account(&server, account(pb::Role::Verifier, &[GATEWAY])).await.expect("account");
    let taken = admin.create_account(&server, account(pb::Role::Verifier, &["a.example.org", GATEWAY])).await;
    is(taken, Code::AlreadyExists, "CLIENT_CERTIFICATE_NAME_TAKEN");
    let two = admin.create_account(&server, account(pb::Role::Verifier, &[])).await.expect("account");
    let taken = set_names(admin, &server, &two.service_account_id, &[GATEWAY]).await;
    is(taken, Code::AlreadyExists, "CLIENT_CERTIFICATE_NAME_TAKEN");

    // An admin of less cannot become one of more.
    let less = pb::ServiceAccount {
        name: "less".to_owned(),
        roles: vec![pb::Role::Admin.into()],
        application_ids: vec![server.app.clone()],
        ..Default::default()
    };
    let less = admin.hire(&server, 1, less).await;
    let refused = set_names(&less, &server, &admin.account_id, &["less.example.org"]).await;
    is(refused, Code::PermissionDenied, "GRANT_EXCEEDED");
    // Nor may one tenant's admin take a name that another tenant's workload has in its certificate.
    let mut own = account(pb::Role::Verifier, &["workload.example.org"]);
    (own.all_applications, own.application_ids) = (false, vec![server.app.clone()]);
    let refused = less.create_account(&server, own.clone()).await;
    is(refused, Code::PermissionDenied, "GRANT_EXCEEDED");
    own.client_certificate_names.clear();
    let own = less.create_account(&server, own).await.expect("without names");
    let refused = set_names(&less, &server, &own.service_account_id, &["workload.example.org"]).await;
    is(refused, Code::PermissionDenied, "GRANT_EXCEEDED");
    let viewer = admin.hire_role(&server, 2, pb::Role::Viewer, &[]).await;
    let refused = set_names(&viewer, &server, &viewer.account_id, &["viewer.example.org"]).await;
    is(refused, Code::PermissionDenied, "ROLE_MISSING");

    // Who may not give names does not learn of one either.
    let taken = set_names(&less, &server, &own.service_account_id, &[GATEWAY]).await.expect_err("refused");
    let free = set_names(&less, &server, &own.service_account_id, &["free.example.org"]).await.expect_err("refused");
    assert_eq!((taken.message(), reason(&taken).as_str()), (free.message(), "GRANT_EXCEEDED"));

    // Moved in two steps, and told in the audit log.
    let moved = set_names(admin, &server, &one.service_account_id, &[]).await.expect("taken away");
    assert!(moved.client_certificate_names.is_empty());
    assert!(format!("{:?}", server.last_event().await).contains(GATEWAY), "what was there before");
    let given = set_names(admin, &server, &two.service_account_id, &[GATEWAY, GATEWAY]).await.expect("free");
    assert_eq!(given.client_certificate_names, [GATEWAY]);

    let names: Vec<String> = (0..17).map(|at| format!("n{at}.example.org")).collect();
    let many: Vec<&str> = names.iter().map(String::as_str).collect();
    for (names, field) in [
        (&["*.example.org"][..], "service_account.client_certificate_names[0]"),
        (&[GATEWAY, ""], "service_account.client_certificate_names[1]"),
        (&["Gateway.example.org"], "service_account.client_certificate_names[0]"),
        (&many, "service_account.client_certificate_names"),
    ] {
        let refused = set_names(admin, &server, &two.service_account_id, names).await.expect_err("a bad name");
        assert_eq!(violations(&refused), [field], "{names:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_away_proves_nothing_after_the_answer() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let other = server.admin.create_account(&server, account(pb::Role::Watcher, &[])).await.expect("account");
    let mut wish = account(pb::Role::Watcher, &[GATEWAY]);
    wish.roles.push(pb::Role::Verifier.into());
    let made = server.admin.create_account(&server, wish).await.expect("account");
    let gateway = authority.signs(&[GATEWAY], |_| {});
    let channel = server.tls_channel(Some(&gateway)).await.expect("connect");
    let all = pb::WatchRevocationsRequest::default();
    let mut watch = server.watch_over(channel.clone(), &all).await.expect("watch");
    watch.bookmark().await;
    verify(&channel, "sk_live_x").await.expect("verify");

    set_names(&server.admin, &server, &made.service_account_id, &[]).await.expect("taken away");
    is(verify(&channel, "sk_live_x").await, Code::Unauthenticated, "TOKEN_INVALID");
    // Nor does the stream of the one go on as the other.
    set_names(&server.admin, &server, &other.service_account_id, &[GATEWAY]).await.expect("given to another");
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    let end = loop {
        match watch.next().await {
            Ok(Some(item)) => assert!(
                !matches!(item.item, Some(pb::watch_revocations_response::Item::Revocation(_))),
                "nothing is told after the name is gone"
            ),
            end => break end,
        }
    };
    is(end, Code::Unauthenticated, "SIGNATURE_INVALID");
    server.watch_over(channel, &all).await.expect("as the other, anew");
}
