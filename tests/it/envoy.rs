//! A real Envoy with `docs/envoy.yaml`: what a client and an upstream see of a decision.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::gateway::{Gateway, Reply};

fn reader() -> Value {
    json!({"permissions": ["tasks:read"]})
}

/// Status and type of a refusal, whose form is checked.
fn refused(reply: &Reply) -> (u16, String) {
    let refusal = reply.refusal();
    let members: Vec<_> = refusal.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["message", "request_id", "type"], "{reply:?}");
    // Envoy's own: 36 characters, and in its log.
    assert_eq!(reply.header("x-request-id"), [refusal["request_id"].as_str().expect("text")], "{reply:?}");
    assert_eq!(refusal["request_id"].as_str().map(str::len), Some(36), "{reply:?}");
    assert_eq!(reply.header("www-authenticate").len(), usize::from(reply.status == 401), "{reply:?}");
    assert!(!reply.body.contains("tasks:"), "what it lacks is not told: {reply:?}");
    (reply.status, refusal["type"].as_str().expect("text").to_owned())
}

fn is(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[test]
fn a_good_key_passes_and_the_upstream_hears_whose_it_is_but_never_the_key() {
    let Some(gateway) = Gateway::start() else { return };
    let (id, secret) = gateway.key(&json!({"name": "Käse, 100 %", "permissions": ["tasks:read", "a:*"]}));
    let bearer = format!("Bearer {secret}");
    for sent in [
        vec![("Authorization", bearer.as_str())],
        vec![("X-API-Key", secret.as_str())],
        vec![("authorization", &format!("bearer  {secret}")), ("x-api-key", &secret)],
    ] {
        let reply = gateway.get("/tasks/7?x=1", &[&sent[..], &[("cookie", "a=b")]].concat());
        let upstream = reply.upstream();
        let told = upstream.named(|name| name.starts_with("x-portcullis"));
        let told: Vec<_> = told.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            told,
            [
                ("x-portcullis-application-id", gateway.app.as_str()),
                ("x-portcullis-environment", "live"),
                ("x-portcullis-key-id", id.as_str()),
                ("x-portcullis-key-name", "K%C3%A4se,%20100%20%25"),
                ("x-portcullis-key-type", "secret"),
                ("x-portcullis-permissions", "tasks:read,a:*"),
            ]
        );
        assert!(!reply.body.contains(&secret), "{sent:?}: {}", reply.body);
        assert!(upstream.named(|name| name == "authorization" || name == "x-api-key").is_empty(), "{upstream:?}");
        assert_eq!(upstream.header("cookie"), ["a=b"], "what is not ours goes on");
        assert_eq!(upstream.header("x-request-id"), reply.header("x-request-id"));
    }
    // Nor where nobody is asked about it.
    let unasked = gateway.get("/healthz", &[("authorization", &bearer), ("x-api-key", &secret)]);
    assert!(!unasked.body.contains(&secret), "{}", unasked.body);
    // Another scheme is the upstream's own affair.
    let both = gateway.get("/tasks", &[("authorization", "Basic dTpw"), ("x-api-key", &secret)]).upstream();
    assert_eq!(both.header("authorization"), ["Basic dTpw"]);
    assert!(both.header("x-api-key").is_empty());
}

#[test]
fn no_identity_header_of_a_client_ever_arrives() {
    let Some(gateway) = Gateway::start() else { return };
    let names = ["key-id", "key-name", "key-type", "application-id", "environment", "permissions"];
    let names = names.map(|name| format!("X-Portcullis-{name}"));
    let look_alikes = names.clone().map(|name| name.replace('-', "_"));
    let half = names.clone().map(|name| name.replacen("s-", "s_", 1).to_lowercase());
    let mut forged: Vec<_> =
        names.iter().chain(&look_alikes).chain(&half).map(|name| (name.as_str(), "forged")).collect();
    let lower = names.clone().map(|name| name.to_lowercase());
    forged.extend(lower.iter().map(|name| (name.as_str(), "forged")));
    forged.extend(names.iter().map(|name| (name.as_str(), "")));
    // Once more, to have the real ones dropped on the last hop.
    let dropped = format!("close, {}", lower.join(", "));
    let with_nominated = [&forged[..], &[("connection", dropped.as_str())]].concat();

    let (readers_id, reader) = gateway.key(&reader());
    let (nobodys_id, nobody) = gateway.key(&json!({}));
    for forged in [&forged, &with_nominated] {
        let send = |key: &str| gateway.get("/account", &[&forged[..], &[("x-api-key", key)]].concat());
        // What is not set this time is removed, as what is replaced.
        for (secret, id, set) in [(&reader, &readers_id, 6), (&nobody, &nobodys_id, 5)] {
            let reply = send(secret);
            let told = reply.upstream().named(|name| name.to_lowercase().starts_with("x-portcullis"));
            assert_eq!(told.len(), set, "{told:?}");
            assert!(!reply.body.contains("forged"), "{}", reply.body);
            assert_eq!(reply.upstream().header("x-portcullis-key-id"), [id]);
        }
        let unasked = gateway.get("/healthz", forged);
        assert!(unasked.upstream().named(|name| name.to_lowercase().starts_with("x-portcullis")).is_empty());
    }
}

#[test]
fn each_refusal_is_told_by_its_status_and_type_and_reaches_no_upstream() {
    let Some(gateway) = Gateway::start() else { return };
    let (_, good) = gateway.key(&reader());
    let (_, test) = gateway.key(&json!({"environment": "KEY_ENVIRONMENT_TEST"}));
    let (disabled_id, disabled) = gateway.key(&reader());
    let key = json!({"application_id": gateway.app, "key_id": disabled_id, "disabled": true});
    gateway.server.call("KeyService/UpdateKey", &json!({"key": key}).to_string());
    let (revoked_id, revoked) = gateway.key(&reader());
    gateway.revoke(&revoked_id);
    let bearer = |key: &str| format!("Bearer {key}");

    let reply = gateway.get("/tasks", &[]);
    assert_eq!(refused(&reply), is(401, "KEY_MISSING"));
    assert_eq!(reply.header("www-authenticate"), ["Bearer realm=\"api\""], "who showed none made no error");
    let reply = gateway.get("/tasks", &[("x-api-key", "nonsense")]);
    assert_eq!(reply.header("www-authenticate"), ["Bearer realm=\"api\", error=\"invalid_token\""]);
    let unknown = "sk_live_00000000000000000000000000000000000000000001Vxh1Z";
    type Sent<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Sent<'_>, u16, &str)] = &[
        ("/tasks", &[("authorization", &good)], 401, "KEY_MISSING"),
        ("/tasks", &[("authorization", "Basic dTpw")], 401, "KEY_MISSING"),
        ("/tasks", &[("authorization", "Bearer "), ("x-api-key", "")], 401, "KEY_MISSING"),
        ("/tasks", &[("authorization", &bearer(&good)), ("x-api-key", &revoked)], 401, "KEYS_DIFFER"),
        ("/tasks", &[("authorization", &bearer(&revoked)), ("x-api-key", &good)], 401, "KEYS_DIFFER"),
        ("/tasks", &[("authorization", "Bearer x.y.z"), ("x-api-key", &good)], 401, "KEYS_DIFFER"),
        ("/tasks", &[("x-api-key", "nonsense")], 401, "MALFORMED"),
        ("/tasks", &[("x-api-key", &good), ("x-api-key", &good)], 401, "MALFORMED"),
        ("/tasks", &[("x-api-key", &format!("{revoked},{good}"))], 401, "MALFORMED"),
        ("/tasks", &[("authorization", &bearer(&good)), ("authorization", &bearer(&good))], 401, "MALFORMED"),
        ("/tasks", &[("x-api-key", unknown)], 401, "NOT_FOUND"),
        ("/tasks", &[("x-api-key", &revoked)], 401, "REVOKED"),
        ("/tasks", &[("x-api-key", &disabled)], 401, "DISABLED"),
        ("/tasks", &[("x-api-key", &test)], 403, "ENVIRONMENT_NOT_ALLOWED"),
        ("/sandbox", &[("x-api-key", &good)], 403, "ENVIRONMENT_NOT_ALLOWED"),
    ];
    for (path, headers, status, kind) in cases {
        assert_eq!(refused(&gateway.get(path, headers)), is(*status, kind), "{path} {headers:?}");
    }
    let write = gateway.send("POST", "/tasks", &[("x-api-key", &good), ("content-length", "0")]);
    assert_eq!(refused(&write), is(403, "PERMISSION_MISSING"));
    gateway.get("/tasks", &[("x-api-key", &good)]).upstream();
    gateway.get("/sandbox", &[("x-api-key", &test)]).upstream();
    assert_eq!(gateway.get("/healthz", &[]).status, 200, "a route may do without");
}

/// A count of what is left must not begin anew in the middle of a test.
fn stay_within_a_day() {
    const DAY: u64 = 86400;
    let into_the_day = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs() % DAY;
    while into_the_day() > DAY - 60 {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn limits_are_told_to_the_client_and_refuse_with_429() {
    let Some(gateway) = Gateway::start() else { return };
    stay_within_a_day();
    let (_, secret) = gateway.key(&json!({
        "permissions": ["tasks:read"],
        "rate_limits": [{"name": "day", "limit": 22, "window": "86400s"}, {"name": "half", "limit": 500, "window": "43200s"}],
    }));
    let key = [("x-api-key", secret.as_str())];
    let told = |reply: &Reply| {
        let reset = reply.header("x-ratelimit-reset").concat().parse::<u64>().expect("one, in Unix seconds");
        assert_eq!(reset % 86400, 0, "at midnight");
        let [limit, remaining] =
            ["limit", "remaining"].map(|name| reply.header(&format!("x-ratelimit-{name}")).concat());
        (limit, remaining)
    };
    let is_told = |reply: &Reply, remaining: &str| assert_eq!(told(reply), ("22".to_owned(), remaining.to_owned()));
    // The upstream's own x-ratelimit-limit is not seen beside it.
    for (path, remaining) in [("/tasks", "21"), ("/reports/7", "11"), ("/tasks", "10"), ("/tasks", "9")] {
        let reply = gateway.get(path, &key);
        reply.upstream();
        is_told(&reply, remaining);
        assert!(reply.header("retry-after").is_empty());
    }
    let forbidden = gateway.send("DELETE", "/tasks", &key);
    assert_eq!(refused(&forbidden), is(403, "PERMISSION_MISSING"));
    is_told(&forbidden, "9");
    for _ in 0..2 {
        let reply = gateway.get("/reports/7", &key);
        assert_eq!(refused(&reply), is(429, "RATE_LIMITED"));
        is_told(&reply, "9");
        let wait: u64 = reply.header("retry-after").concat().parse().expect("seconds");
        assert!((1..=86400).contains(&wait), "{wait}");
    }
    for remaining in (0..9).rev() {
        let reply = gateway.get("/tasks", &key);
        reply.upstream();
        is_told(&reply, &remaining.to_string());
    }
    assert_eq!(refused(&gateway.get("/tasks", &key)), is(429, "RATE_LIMITED"));

    let (_, secret) = gateway.key(&json!({"quotas": [{"limit": 5, "period": "QUOTA_PERIOD_MONTH"}]}));
    let key = [("x-api-key", secret.as_str())];
    let never = gateway.get("/reports/7", &key);
    assert_eq!(refused(&never), is(429, "QUOTA_EXCEEDED"));
    assert!(never.header("retry-after").is_empty(), "it costs more than there ever is");
    assert_eq!(gateway.get("/account", &key).header("x-ratelimit-remaining"), ["4"]);
}

#[test]
fn a_revoked_key_is_refused_by_the_very_next_request() {
    let Some(gateway) = Gateway::start() else { return };
    for _ in 0..5 {
        let (id, secret) = gateway.key(&reader());
        gateway.get("/tasks", &[("x-api-key", &secret)]).upstream();
        gateway.revoke(&id);
        assert_eq!(refused(&gateway.get("/tasks", &[("x-api-key", &secret)])), is(401, "REVOKED"));
    }
}

#[test]
fn a_client_is_where_its_connection_comes_from_whatever_it_says() {
    let Some(gateway) = Gateway::start() else { return };
    let (_, here) = gateway.key(&json!({"ip_allowlist": ["127.0.0.0/8"]}));
    let (_, elsewhere) = gateway.key(&json!({"ip_allowlist": ["192.0.2.0/24"]}));
    let claims = [
        ("x-forwarded-for", "192.0.2.7"),
        ("X-Forwarded-For", "192.0.2.7, 192.0.2.8"),
        ("x-real-ip", "192.0.2.7"),
        ("forwarded", "for=192.0.2.7"),
        ("x-envoy-external-address", "192.0.2.7"),
        ("true-client-ip", "192.0.2.7"),
    ];
    for claims in [&[][..], &claims] {
        let with = |key: &str| gateway.get("/account", &[claims, &[("x-api-key", key)]].concat());
        with(&here).upstream();
        assert_eq!(refused(&with(&elsewhere)), is(403, "IP_NOT_ALLOWED"));
    }
}

/// As `docs/envoy.md` says where a load balancer stands between.
#[test]
fn by_the_proxy_protocol_an_address_is_the_one_that_the_balancer_saw() {
    let read_proxy_protocol = |configuration: String| {
        let filter = "    listener_filters:\n    - name: envoy.filters.listener.proxy_protocol\n      typed_config:\n        \"@type\": \
            type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol\n        \
            allow_requests_without_proxy_protocol: true\n    filter_chains:\n";
        configuration.replacen("    filter_chains:\n", filter, 1)
    };
    let Some(gateway) = Gateway::start_with(read_proxy_protocol) else { return };
    let (_, secret) = gateway.key(&json!({"ip_allowlist": ["192.0.2.7", "2001:db8::/32"]}));
    let from = |balancer: &str| {
        let request = "GET /account HTTP/1.1\r\nhost: shop.example.com\r\nconnection: close\r\n";
        gateway.exchange(&format!("{balancer}{request}x-forwarded-for: 192.0.2.7\r\nx-api-key: {secret}\r\n\r\n"))
    };
    for inside in ["PROXY TCP4 192.0.2.7 198.51.100.1 40000 80\r\n", "PROXY TCP6 2001:db8::7 2001:db8::1 40000 80\r\n"]
    {
        from(inside).upstream();
    }
    for outside in
        ["PROXY TCP4 192.0.2.8 198.51.100.1 40000 80\r\n", "PROXY TCP6 2001:db9::7 2001:db8::1 40000 80\r\n", ""]
    {
        assert_eq!(refused(&from(outside)), is(403, "IP_NOT_ALLOWED"), "{outside}");
    }
}

#[test]
fn a_page_is_the_origin_else_the_referer_and_a_resource_is_the_route_s() {
    let Some(gateway) = Gateway::start() else { return };
    let publishable = json!({"type": "KEY_TYPE_PUBLISHABLE", "referrer_allowlist": ["https://app.example.com"]});
    let (_, secret) = gateway.key(&publishable);
    let with =
        |headers: &[(&str, &str)]| gateway.get("/account", &[headers, &[("x-api-key", secret.as_str())]].concat());
    let (app, other) = ("https://app.example.com", "https://app.example.com.evil.example");
    for good in [
        &[("Origin", app)][..],
        &[("referer", "https://app.example.com/page?x")],
        &[("origin", app), ("referer", other)],
    ] {
        assert_eq!(with(good).upstream().header("x-portcullis-key-type"), ["publishable"], "{good:?}");
    }
    for bad in
        [&[][..], &[("origin", other)], &[("origin", "null"), ("referer", app)], &[("origin", app), ("origin", app)]]
    {
        assert_eq!(refused(&with(bad)), is(403, "REFERRER_NOT_ALLOWED"), "{bad:?}");
    }

    let (_, reports) = gateway.key(&json!({"resource_allowlist": ["reports/*"]}));
    let (_, files) = gateway.key(&json!({"resource_allowlist": ["files/*"]}));
    gateway.get("/reports/7", &[("x-api-key", &reports)]).upstream();
    for (path, key) in [("/reports/7", &files), ("/account", &files), ("/account", &reports)] {
        assert_eq!(refused(&gateway.get(path, &[("x-api-key", key)])), is(403, "RESOURCE_NOT_ALLOWED"), "{path}");
    }
}

#[test]
fn no_spelling_of_a_path_gets_around_what_its_route_asks_for() {
    let Some(gateway) = Gateway::start() else { return };
    let (_, reader) = gateway.key(&reader());
    let (_, nobody) = gateway.key(&json!({}));
    for path in ["/tasks/7", "/account/../tasks/7", "//tasks/7", "/tasks"] {
        let get = |key: &str| gateway.get(path, &[("x-api-key", key)]);
        get(&reader).upstream();
        assert_eq!(refused(&get(&nobody)), is(403, "PERMISSION_MISSING"), "{path}");
    }
    for path in [
        "/account/%2e%2e/tasks/7",
        "/account/.%2E/tasks/7",
        "/account\\..\\tasks",
        "/account/..%2ftasks",
        "/account/%2e%2e%2Ftasks",
        "/account/..%5ctasks",
        "/account/%252e%252e/tasks",
        "/account/..;/tasks",
        "/./tasks",
        "/account//../tasks",
        "/Tasks",
        "/tasks;x",
        "/",
    ] {
        let reply = gateway.get(path, &[("x-api-key", &nobody)]);
        let reached = reply.body.lines().next().filter(|_| reply.status == 200).unwrap_or_default().to_owned();
        // Behind /account is whatever is spelt so; an upstream that decodes twice is lost anyway.
        let stays = reached.is_empty() || reached.starts_with("GET /account/");
        assert!(stays && !reached.contains("/../"), "{path}: {reply:?}");
    }
}
