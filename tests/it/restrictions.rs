//! Where from and what for a key may be used: by the facts that the verifier states.

use portcullis::pb::{self, KeyEnvironment, KeyType, Verdict};

use crate::{
    fields::{create, texts},
    harness::{
        Headers, Server, message_bytes,
        verify::{Answer, about},
    },
};

const CREATE: &str = "KeyService/CreateKey";

/// The secret of a key with these lists.
async fn restricted(server: &Server, ips: &[&str], referrers: &[&str], resources: &[&str]) -> String {
    let made = server.key_with(|request| {
        request.ip_allowlist = texts(ips);
        request.referrer_allowlist = texts(referrers);
        request.resource_allowlist = texts(resources);
    });
    made.await.secret
}

fn verdict_from(secret: &str, client_ip: &str) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest { client_ip: client_ip.to_owned(), ..about(secret) }
}

fn from_page(secret: &str, referrer: &str) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest { referrer: referrer.to_owned(), ..about(secret) }
}

fn for_resource(secret: &str, resource: &str) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest { resource: resource.to_owned(), ..about(secret) }
}

#[tokio::test]
async fn an_ip_allowlist_admits_the_addresses_in_its_networks_and_no_other() {
    let server = Server::start().await;
    let networks = ["192.0.2.0/24", "203.0.113.9", "::ffff:198.51.100.0/120", "2001:db8::/32", "2001:DB9:0::1"];
    let secret = restricted(&server, &networks, &[], &[]).await;
    for admitted in [
        "192.0.2.0",
        "192.0.2.255",
        "203.0.113.9",
        "::ffff:192.0.2.7",
        "::ffff:c000:207",
        "198.51.100.7",
        "::ffff:198.51.100.7",
        "2001:db8::",
        "2001:0DB8:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::1",
    ] {
        assert_eq!(server.verdict_on(&verdict_from(&secret, admitted)).await, Verdict::Valid, "{admitted}");
    }
    for refused in [
        "",
        "192.0.3.0",
        "192.0.1.255",
        "203.0.113.10",
        "198.51.101.0",
        "::192.0.2.7",
        "64:ff9b::192.0.2.7",
        "2001:db9::2",
        "2001:db7:ffff::",
        "::1",
        "127.0.0.1",
        "0.0.0.0",
        "::",
    ] {
        assert_eq!(server.verdict_on(&verdict_from(&secret, refused)).await, Verdict::IpNotAllowed, "{refused}");
    }
    for (network, address, verdict) in [
        ("::/0", "192.0.2.1", Verdict::IpNotAllowed),
        ("::/0", "::ffff:192.0.2.1", Verdict::IpNotAllowed),
        ("::/0", "2001:db8::1", Verdict::Valid),
        ("0.0.0.0/0", "::ffff:192.0.2.1", Verdict::Valid),
        ("0.0.0.0/0", "2001:db8::1", Verdict::IpNotAllowed),
        ("0.0.0.0/0", "", Verdict::IpNotAllowed),
    ] {
        let secret = restricted(&server, &[network], &[], &[]).await;
        assert_eq!(server.verdict_on(&verdict_from(&secret, address)).await, verdict, "{network} {address}");
    }
}

/// The test's own calls come from loopback, as a gateway's come from the gateway.
#[tokio::test]
async fn the_address_of_the_verifier_is_never_taken_for_the_clients() {
    let server = Server::start().await;
    let secret = restricted(&server, &["127.0.0.0/8", "::1"], &["https://example.com"], &[]).await;
    let message = message_bytes(&from_page(&secret, "https://example.com"));
    let mut headers = Headers::bearer(&server.admin.token(&server));
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("x-envoy-external-address", "127.0.0.1"),
    ] {
        headers = headers.set(name, value);
    }
    let answer: Answer = server.with_headers("KeyService/VerifyKey", message, &headers).await.expect("verify");
    assert_eq!(answer.verdict(), Verdict::IpNotAllowed);
    let message = message_bytes(&verdict_from(&secret, "127.0.0.1"));
    let headers = headers.set("origin", "https://example.com").set("referer", "https://example.com/");
    let answer: Answer = server.with_headers("KeyService/VerifyKey", message, &headers).await.expect("verify");
    assert_eq!(answer.verdict(), Verdict::ReferrerNotAllowed);
}

#[tokio::test]
async fn a_referrer_allowlist_admits_its_origins_and_what_is_below_its_domains() {
    let server = Server::start().await;
    let origins = ["https://app.example.com", "http://localhost:8080", "*.example.org", "https://[2001:db8::1]"];
    let secret = restricted(&server, &[], &origins, &[]).await;
    for admitted in [
        "https://app.example.com",
        "https://app.example.com/",
        "HTTPS://APP.Example.Com:443/path?q=https://evil.org#f",
        "http://localhost:8080/",
        "https://a.example.org",
        "http://a.b.example.org:8443/path",
        "https://[2001:DB8:0::1]/",
    ] {
        assert_eq!(server.verdict_on(&from_page(&secret, admitted)).await, Verdict::Valid, "{admitted}");
    }
    let over_long = format!("https://app.example.com/{}", "a".repeat(4096));
    let refused = [
        "",
        "null",
        "app.example.com",
        "//app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.",
        "https://app.example.com.evil.org",
        "https://sub.app.example.com",
        "https://user@app.example.com",
        "https://app.example.com@evil.org",
        "https://evil.org\\@app.example.com",
        "https://app.example.com\\.evil.org",
        "https://evil.org/https://app.example.com",
        "http://localhost",
        "http://localhost:80800",
        "https://example.org",
        "https://evilexample.org",
        "https://a.example.org.evil.com",
        "https://evil.com?.example.org",
        "https://é.example.org",
        "https://a.example\u{3002}org",
        "https://a.example.org\u{202e}",
        " https://app.example.com",
        "https://app.example.com\n",
        "file:///app.example.com",
        "chrome-extension://app.example.com",
        "*.example.org",
        &over_long,
    ];
    for refused in refused {
        assert_eq!(server.verdict_on(&from_page(&secret, refused)).await, Verdict::ReferrerNotAllowed, "{refused:?}");
    }
}

#[tokio::test]
async fn a_resource_allowlist_admits_its_texts_and_what_begins_like_them() {
    let server = Server::start().await;
    let secret = restricted(&server, &[], &[], &["files/*", "s3://bucket/object", "é/*"]).await;
    for admitted in ["files/", "files/a", "files/a/b..c", "files//a", "s3://bucket/object", "é/a", "files/%c3%a9"] {
        assert_eq!(server.verdict_on(&for_resource(&secret, admitted)).await, Verdict::Valid, "{admitted}");
    }
    let over_long = format!("files/{}", "a".repeat(512));
    for refused in [
        "",
        "files",
        "Files/a",
        "/files/a",
        "files2/a",
        "s3://bucket/object2",
        "s3://bucket/objec",
        "e\u{301}/a",
        "files/*",
        "files/..",
        "files/../secret",
        "files/./a",
        "files/%2e%2e/secret",
        "files/%252e%252e/secret",
        "files/..%2fsecret",
        "files\\..\\secret",
        "files/..;a/secret",
        "files/a\0",
        "files/a\n",
        "files/\u{202e}a",
        &over_long,
    ] {
        let question = for_resource(&secret, refused);
        assert_eq!(server.verdict_on(&question).await, Verdict::ResourceNotAllowed, "{refused:?}");
    }
    let everything = restricted(&server, &[], &[], &["*"]).await;
    for (resource, verdict) in
        [("a", Verdict::Valid), ("", Verdict::ResourceNotAllowed), ("a/../b", Verdict::ResourceNotAllowed)]
    {
        assert_eq!(server.verdict_on(&for_resource(&everything, resource)).await, verdict, "{resource}");
    }
}

/// What anybody can put into a request must not break the requests of others.
#[tokio::test]
async fn a_referrer_or_resource_that_does_not_read_has_no_effect_on_who_is_not_restricted_in_it() {
    let server = Server::start().await;
    let secret = restricted(&server, &["192.0.2.0/24"], &[], &[]).await;
    let junk = "\u{202e}".repeat(5000);
    for text in ["null", "https://user@", "é", "../..", "%", "\0", &junk] {
        let (referrer, resource) = (text.to_owned(), text.to_owned());
        let question = pb::VerifyKeyRequest { referrer, resource, ..verdict_from(&secret, "192.0.2.1") };
        assert_eq!(server.verdict_on(&question).await, Verdict::Valid, "{:?}", text.get(..9));
    }
}

#[tokio::test]
async fn a_key_is_good_in_its_own_environment_only() {
    use KeyEnvironment::{Live, Test, Unspecified};
    let server = Server::start().await;
    for (kind, environment, begins) in [
        (KeyType::Secret, Live, "sk_live_"),
        (KeyType::Secret, Unspecified, "sk_live_"),
        (KeyType::Secret, Test, "sk_test_"),
        (KeyType::Publishable, Live, "pk_live_"),
        (KeyType::Publishable, Test, "pk_test_"),
    ] {
        let made = server
            .key_with(|request| {
                (request.r#type, request.environment) = (kind.into(), environment.into());
                request.ip_allowlist = texts(&["192.0.2.1"]);
            })
            .await;
        let key = made.key.expect("key");
        assert!(made.secret.starts_with(begins) && key.prefix.starts_with(begins), "{}", key.prefix);
        assert_eq!((key.r#type(), key.environment() == Test), (kind, environment == Test));
        for asked in [Unspecified, Live, Test] {
            let question =
                pb::VerifyKeyRequest { environment: asked.into(), ..verdict_from(&made.secret, "192.0.2.1") };
            let answer = server.ask(&server.admin, &question).await.expect("verify");
            let same = (asked == Test) == (environment == Test);
            let expected = if same { Verdict::Valid } else { Verdict::EnvironmentNotAllowed };
            assert_eq!((answer.verdict(), answer.r#type()), (expected, kind), "{begins} as {asked:?}");
        }
    }
}

#[tokio::test]
async fn a_publishable_key_is_bound_to_a_place_and_holds_no_full_access() {
    let server = Server::start().await;
    let wish = |ips: &[&str], referrers: &[&str], permissions: &[&str]| pb::CreateKeyRequest {
        r#type: KeyType::Publishable.into(),
        ip_allowlist: texts(ips),
        referrer_allowlist: texts(referrers),
        resource_allowlist: texts(&["*"]),
        permissions: texts(permissions),
        ..create(&server)
    };
    type Texts = &'static [&'static str];
    let refused: [(Texts, Texts, Texts, Texts); 10] = [
        (&[], &[], &["map:view"], &["referrer_allowlist"]),
        (&["0.0.0.0/0"], &[], &["map:view"], &["ip_allowlist"]),
        (&["192.0.2.1", "::/0"], &[], &["map:view"], &["ip_allowlist"]),
        (&["::ffff:0:0/96"], &[], &["map:view"], &["ip_allowlist"]),
        (&["0.0.0.0/1", "192.0.0.0/2", "128.0.0.0/2"], &[], &["map:view"], &["ip_allowlist"]),
        (&["::/0"], &["https://example.com"], &["map:view"], &["ip_allowlist"]),
        (&["192.0.2.1"], &[], &["*"], &["permissions"]),
        (&["192.0.2.1"], &[], &["map:view", "*:*"], &["permissions"]),
        (&["192.0.2.1"], &[], &["admin:*"], &["permissions"]),
        (&[], &[], &["*"], &["permissions", "referrer_allowlist"]),
    ];
    for (ips, referrers, permissions, fields) in refused {
        server.refuses_fields(CREATE, &wish(ips, referrers, permissions), fields).await;
    }
    for (ips, referrers) in [(&["192.0.2.0/24"][..], &[][..]), (&[], &["*.example.com"])] {
        let made: pb::CreateKeyResponse =
            server.signed(&server.admin, CREATE, &wish(ips, referrers, &["map:*", "*:view"])).await.expect("create");
        assert!(made.secret.starts_with("pk_live_"));
    }
    // It inherits what its maker may grant, and never full access.
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["map:view", "admin:*", "*", "*:*"]).await;
    let made: pb::CreateKeyResponse =
        server.signed(&editor, CREATE, &wish(&["192.0.2.1"], &[], &[])).await.expect("create");
    assert_eq!(made.key.expect("key").permissions, ["map:view"]);
}
