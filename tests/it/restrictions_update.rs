//! Allowlists as they are kept, shown, changed, told to watchers and found again.

use std::time::Duration;

use portcullis::{
    pb::{self, KeyType, RevocationCause, Verdict},
    watch::Limits,
};
use tonic::Code;

use crate::{
    fields::{create, ids, texts},
    harness::{
        Server, Setup, refusal,
        verify::{about, update},
        watch::from,
    },
};

const CREATE: &str = "KeyService/CreateKey";
const UPDATE: &str = "KeyService/UpdateKey";

/// A wish for these lists.
fn lists(ips: &[&str], referrers: &[&str], resources: &[&str]) -> pb::Key {
    pb::Key {
        ip_allowlist: texts(ips),
        referrer_allowlist: texts(referrers),
        resource_allowlist: texts(resources),
        ..Default::default()
    }
}

fn lists_of(key: &pb::Key) -> [&[String]; 3] {
    [&key.ip_allowlist, &key.referrer_allowlist, &key.resource_allowlist]
}

async fn restricted(server: &Server, wish: pb::Key) -> pb::CreateKeyResponse {
    server
        .key_with(|request| {
            request.ip_allowlist = wish.ip_allowlist;
            request.referrer_allowlist = wish.referrer_allowlist;
            request.resource_allowlist = wish.resource_allowlist;
        })
        .await
}

#[tokio::test]
async fn entries_are_kept_in_one_form_each_once_and_shown_so_everywhere_also_after_a_restart() {
    let server = Server::start().await;
    let made = restricted(
        &server,
        lists(
            &["192.0.2.7", "2001:DB8:0::/32", "::ffff:192.0.2.7", "10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"],
            &["HTTPS://App.Example.com:443", "*.EXAMPLE.org", "https://app.example.com", "http://[0::1]:80"],
            &["files/*", "Files/*", "files/*"],
        ),
    );
    let key = made.await.key.expect("key");
    let shown = lists(
        &["192.0.2.7/32", "2001:db8::/32", "10.0.0.0/8"],
        &["https://app.example.com", "*.example.org", "http://[::1]"],
        &["files/*", "Files/*"],
    );
    assert_eq!(lists_of(&key), lists_of(&shown));
    // What is shown may be sent back.
    let same = server.update(&key, &["*"], key.clone()).await;
    assert_eq!((same.key.as_ref(), same.revision), (Some(&key), key.revision), "nothing has changed");

    let server = server.restart().await;
    assert_eq!(server.get_key(&key.key_id).await, key);
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
    assert_eq!(listed.keys, [key]);
}

#[tokio::test]
async fn a_list_has_at_most_a_hundred_entries_as_they_are_sent() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let full = |count: usize| pb::Key {
        ip_allowlist: (0..count).map(|i| format!("10.0.{i}.0/24")).collect(),
        referrer_allowlist: (0..count).map(|i| format!("https://a{i}.example.com")).collect(),
        resource_allowlist: (0..count).map(|i| format!("files/{i}/*")).collect(),
        ..Default::default()
    };
    let made = restricted(&server, full(100)).await;
    assert_eq!(lists_of(&made.key.expect("key")).map(<[String]>::len), [100; 3]);
    let last = pb::VerifyKeyRequest {
        client_ip: "10.0.99.1".to_owned(),
        referrer: "https://a99.example.com".to_owned(),
        resource: "files/99/a".to_owned(),
        ..about(&made.secret)
    };
    assert_eq!(server.verdict_on(&last).await, Verdict::Valid, "the last of each list counts");

    let paths = ["ip_allowlist", "referrer_allowlist", "resource_allowlist"];
    let one = |entry: &str| vec![entry.to_owned(); 101];
    let same = pb::Key {
        ip_allowlist: one("10.0.0.0/8"),
        referrer_allowlist: one("https://a.example"),
        resource_allowlist: one("*"),
        ..Default::default()
    };
    for wish in [full(101), same] {
        let bad = pb::CreateKeyRequest {
            ip_allowlist: wish.ip_allowlist.clone(),
            referrer_allowlist: wish.referrer_allowlist.clone(),
            resource_allowlist: wish.resource_allowlist.clone(),
            ..create(&server)
        };
        server.refuses_fields(CREATE, &bad, &paths).await;
        let told = paths.map(|path| format!("key.{path}"));
        server.refuses_fields(UPDATE, &update(&key, &paths, wish), &told.each_ref().map(String::as_str)).await;
    }
}

#[tokio::test]
async fn an_update_sets_the_lists_that_its_mask_names_and_clears_those_without_entries() {
    let server = Server::start().await;
    let first = lists(&["10.0.0.0/8"], &["https://a.example"], &["files/*"]);
    let made = restricted(&server, first.clone()).await;
    let key = made.key.expect("key");
    let (others, none) = (lists(&["192.0.2.1"], &["*.b.example"], &["*"]), lists(&[], &[], &[]));
    let steps: [(&[&str], &pb::Key, pb::Key); 7] = [
        (&["ip_allowlist"], &others, lists(&["192.0.2.1/32"], &["https://a.example"], &["files/*"])),
        (&["referrer_allowlist", "resource_allowlist"], &others, lists(&["192.0.2.1/32"], &["*.b.example"], &["*"])),
        (&["resource_allowlist"], &none, lists(&["192.0.2.1/32"], &["*.b.example"], &[])),
        // Without a mask, those that have entries.
        (&[], &none, lists(&["192.0.2.1/32"], &["*.b.example"], &[])),
        (&[], &lists(&[], &[], &["a"]), lists(&["192.0.2.1/32"], &["*.b.example"], &["a"])),
        (
            &["name"],
            &pb::Key { name: "renamed".to_owned(), ..first.clone() },
            lists(&["192.0.2.1/32"], &["*.b.example"], &["a"]),
        ),
        (&["*"], &pb::Key { name: "all".to_owned(), ..none.clone() }, none.clone()),
    ];
    for (paths, wish, expected) in steps {
        let updated = server.update(&key, paths, wish.clone()).await.key.expect("key");
        assert_eq!(lists_of(&updated), lists_of(&expected), "{paths:?}");
    }
    assert_eq!(server.verdict_on(&about(&made.secret)).await, Verdict::Valid, "nothing is restricted any more");
}

#[tokio::test]
async fn the_next_call_goes_by_the_new_lists_and_a_restart_changes_nothing() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key");
    let question = pb::VerifyKeyRequest {
        client_ip: "192.0.2.1".to_owned(),
        referrer: "https://a.example".to_owned(),
        resource: "files/a".to_owned(),
        ..about(&made.secret)
    };
    let mut expected = Verdict::Valid;
    for (path, wish, verdict) in [
        ("resource_allowlist", lists(&[], &[], &["other"]), Verdict::ResourceNotAllowed),
        ("referrer_allowlist", lists(&[], &["https://b.example"], &[]), Verdict::ReferrerNotAllowed),
        ("ip_allowlist", lists(&["198.51.100.0/24"], &[], &[]), Verdict::IpNotAllowed),
        ("ip_allowlist", lists(&["192.0.2.0/24"], &[], &[]), Verdict::ReferrerNotAllowed),
        ("referrer_allowlist", lists(&[], &["https://a.example"], &[]), Verdict::ResourceNotAllowed),
    ] {
        assert_eq!(server.verdict_on(&question).await, expected);
        server.update(&key, &[path], wish).await;
        expected = verdict;
        assert_eq!(server.verdict_on(&question).await, expected, "{path}");
    }
    let server = server.restart().await;
    assert_eq!(server.verdict_on(&question).await, expected, "loaded, not only told");
    server.update(&key, &["resource_allowlist"], lists(&[], &[], &["files/*"])).await;
    assert_eq!(server.verdict_on(&question).await, Verdict::Valid);
    let server = server.restart().await;
    assert_eq!(server.verdict_on(&question).await, Verdict::Valid);
    assert_eq!(server.verdict_on(&about(&made.secret)).await, Verdict::IpNotAllowed);
}

#[tokio::test]
async fn watchers_are_told_when_a_list_admits_less_and_not_when_it_admits_more() {
    let limits = Limits { bookmark_every: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start_with(Setup { limits, ..Setup::default() }).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let key = server.key().await.key.expect("key");
    let ip = |entries: &[&str]| ("ip_allowlist", lists(entries, &[], &[]));
    let page = |entries: &[&str]| ("referrer_allowlist", lists(&[], entries, &[]));
    let resource = |entries: &[&str]| ("resource_allowlist", lists(&[], &[], entries));
    let steps = [
        (ip(&["10.0.0.0/8"]), true),
        (ip(&["10.0.0.0/8"]), false),
        (ip(&["::ffff:10.0.0.0/104"]), false),
        (ip(&["192.0.2.1", "10.0.0.0/8"]), false),
        (ip(&["10.0.0.0/8", "192.0.2.1/32"]), false),
        (ip(&["10.0.0.0/8"]), true),
        (ip(&["10.1.0.0/16"]), true),
        (ip(&[]), false),
        (page(&["https://a.example", "*.b.example"]), true),
        (page(&["*.b.example"]), true),
        (page(&["*.b.example", "http://c.example"]), false),
        (page(&[]), false),
        (resource(&["files/*"]), true),
        (resource(&["files/a"]), true),
        (resource(&["files/a", "*"]), false),
        (resource(&[]), false),
    ];
    let mut expected = Vec::new();
    for ((path, wish), narrower) in steps {
        let revision = server.update(&key, &[path], wish).await.revision;
        expected.extend(narrower.then_some((revision, RevocationCause::Narrowed)));
    }
    let head = server.key().await.revision;
    let told: Vec<_> = watch.up_to(head).await.into_iter().map(|r| (r.revision, r.cause())).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn no_update_sets_a_publishable_key_free_or_gives_it_full_access() {
    let server = Server::start().await;
    let made = server
        .key_with(|request| {
            request.r#type = KeyType::Publishable.into();
            request.referrer_allowlist = texts(&["https://a.example"]);
        })
        .await;
    let key = made.key.expect("key");
    let none = lists(&[], &[], &[]);
    let permissions = |names: &[&str]| pb::Key { permissions: texts(names), ..none.clone() };
    let refused: [(&[&str], pb::Key, &[&str]); 7] = [
        (&["referrer_allowlist"], none.clone(), &["key.referrer_allowlist"]),
        (&["*"], pb::Key { name: "all".to_owned(), ..none.clone() }, &["key.referrer_allowlist"]),
        (&["ip_allowlist", "referrer_allowlist"], none.clone(), &["key.referrer_allowlist"]),
        (&["ip_allowlist"], lists(&["::/0"], &[], &[]), &["key.ip_allowlist"]),
        (&["permissions"], permissions(&["*"]), &["key.permissions"]),
        (
            &["permissions", "referrer_allowlist"],
            permissions(&["admin:*"]),
            &["key.permissions", "key.referrer_allowlist"],
        ),
        (&[], permissions(&["a:b", "*:*"]), &["key.permissions"]),
    ];
    for (paths, wish, fields) in refused {
        server.refuses_fields(UPDATE, &update(&key, paths, wish), fields).await;
    }
    let moved = server.update(&key, &["ip_allowlist", "referrer_allowlist"], lists(&["192.0.2.0/24"], &[], &[])).await;
    assert_eq!(lists_of(&moved.key.expect("key")), lists_of(&lists(&["192.0.2.0/24"], &[], &[])));
    let question = pb::VerifyKeyRequest { client_ip: "192.0.2.1".to_owned(), ..about(&made.secret) };
    assert_eq!(server.verdict_on(&question).await, Verdict::Valid);
    // What it is does not change.
    let bad = update(&key, &["type"], pb::Key { r#type: KeyType::Secret.into(), ..none.clone() });
    server.refuses_fields(UPDATE, &bad, &["update_mask"]).await;
    let populated =
        pb::Key { r#type: KeyType::Secret.into(), environment: pb::KeyEnvironment::Test.into(), ..ids(&key) };
    let same = server.update(&key, &[], populated).await.key.expect("key");
    assert_eq!((same.r#type(), same.environment()), (KeyType::Publishable, pb::KeyEnvironment::Live));
    // Nor does it once it is revoked.
    server.revoke(&key).await;
    let late = server.try_update(&key, &["ip_allowlist"], lists(&["192.0.2.0/24", "10.0.0.0/8"], &[], &[])).await;
    assert_eq!(refusal(late), (Code::FailedPrecondition, "KEY_REVOKED".to_owned()));
}
