use envoy_types::pb::envoy::{
    config::core::v3::{self as core, address::Address},
    service::auth::v3::{AttributeContext, attribute_context, attribute_context::Peer},
};

use super::*;
use crate::{
    domain::{key::KeyEnvironment, referrer::Origin, verdict::Facts},
    grpc::envoy::headers::tests::raw,
    keys,
};

const KEY: &str = "sk_live_00000000000000000000000000000000000000000001Vxh1Z";

fn check(extensions: &[(&str, &str)], headers: &[(&str, &str)]) -> CheckRequest {
    let request = attribute_context::Request { http: Some(raw(headers)), ..Default::default() };
    let context_extensions = extensions.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let attributes = AttributeContext { request: Some(request), context_extensions, ..Default::default() };
    CheckRequest { attributes: Some(attributes) }
}

fn asked(extensions: &[(&str, &str)], headers: &[(&str, &str)]) -> Result<VerifyKey, NotAsked> {
    Question::read(&check(extensions, headers)).map(|question| question.verify)
}

/// The names that are wrong about a route.
fn wrong(extensions: &[(&str, &str)], headers: &[(&str, &str)]) -> Vec<String> {
    match asked(extensions, headers) {
        Err(NotAsked::Route(wrong)) => wrong.iter().map(|violation| violation.field.clone()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_asks_what_verify_key_asks() {
    let app = "app_0000000000000000000001";
    let extensions = [("application_id", app), ("required_permissions", "tasks:read, a:*"), ("environment", "test")];
    let verify = asked(&extensions, &[("x-api-key", KEY)]).expect("asked");
    assert_eq!(verify.application_id.map(|id| id.to_string()).as_deref(), Some(app));
    assert_eq!(verify.facts.environment, KeyEnvironment::Test);
    let needed: Vec<_> = verify.facts.required_permissions.iter().map(ToString::to_string).collect();
    assert_eq!(needed, ["tasks:read", "a:*"]);
    assert!(matches!(verify.subject, keys::Subject::Hash(_)));

    assert_eq!(verify.cost, 1);

    let verify = asked(&[("resource", "files/a"), ("cost", "7")], &[("x-api-key", KEY)]).expect("asked");
    assert_eq!((verify.facts.resource, verify.cost), (Resource::parse("files/a").ok(), 7));

    let nothing = asked(&[], &[("x-api-key", KEY)]).expect("asked");
    assert_eq!((nothing.application_id, nothing.facts.environment), (None, KeyEnvironment::Live));
    assert!(nothing.facts.required_permissions.is_empty());
    let Facts { client_ip, referrer, resource, .. } = nothing.facts;
    assert_eq!((client_ip, referrer, resource), (None, None, None));
}

#[test]
fn the_referrer_is_the_origin_else_the_referer_and_what_is_neither_is_unknown() {
    let referrer = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("x-api-key", KEY)]].concat();
        asked(&[], &headers).expect("asked, whatever the client sent").facts.referrer
    };
    let (app, other) = ("https://app.example.com", "https://other.example.com/x");
    let is_app = Origin::parse(app).ok();
    assert!(is_app.is_some());
    assert_eq!(referrer(&[("Origin", app), ("Referer", other)]), is_app);
    assert_eq!(referrer(&[("referer", "https://app.example.com/page?x=1")]), is_app);
    assert_eq!(referrer(&[("origin", ""), ("referer", app)]), is_app, "an empty one is none");
    for bad in ["null", "app.example.com", "https://u:p@app.example.com", "https://app.example.com:0", "*", "é"] {
        assert_eq!(referrer(&[("origin", bad), ("referer", app)]), None, "{bad}: not made up for");
    }
    assert_eq!(referrer(&[("origin", app), ("origin", app)]), None, "two origins are none");
}

#[test]
fn the_address_is_the_connection_s_and_none_where_there_is_none() {
    let client_ip = |address: Option<Address>| {
        let mut request =
            check(&[], &[("x-api-key", KEY), ("x-forwarded-for", "192.0.2.7"), ("x-real-ip", "192.0.2.7")]);
        let peer =
            Peer { address: address.map(|address| core::Address { address: Some(address) }), ..Default::default() };
        request.attributes.as_mut().expect("attributes").source = Some(peer);
        Question::read(&request).expect("asked").verify.facts.client_ip
    };
    let socket = |address: &str| {
        Some(Address::SocketAddress(core::SocketAddress { address: address.to_owned(), ..Default::default() }))
    };
    assert_eq!(client_ip(socket("198.51.100.1")), "198.51.100.1".parse().ok());
    assert_eq!(client_ip(socket("::ffff:198.51.100.1")), "198.51.100.1".parse().ok());
    assert_eq!(client_ip(socket("2001:db8::1")), "2001:db8::1".parse().ok());
    assert_eq!(client_ip(None), None);
    assert_eq!(client_ip(Some(Address::Pipe(core::Pipe { path: "/run/x".to_owned(), mode: 0 }))), None);
    assert_eq!(client_ip(socket("localhost")), None);
}

#[test]
fn a_route_that_is_not_understood_asks_nothing_whoever_comes() {
    let bad = [
        ("required_permission", "tasks:read"),
        ("Required_Permissions", "tasks:read"),
        ("permissions", "tasks:read"),
        ("", "x"),
        ("application_id", ""),
        ("application_id", " "),
        ("environment", ""),
        ("environment", "LIVE"),
        ("environment", "prod"),
        ("required_permissions", ""),
        ("resource", ""),
        ("resource", "files/*"),
        ("resource", "files/../secret"),
        ("cost", "0"),
        ("cost", "-1"),
        ("cost", "1.5"),
        ("cost", "1000000001"),
        ("cost", "99999999999999999999"),
        ("client_ip", "192.0.2.1"),
        ("dry_run", "true"),
    ];
    for (name, value) in bad {
        for headers in [&[][..], &[("x-api-key", KEY)]] {
            assert_eq!(wrong(&[(name, value)], headers), [name], "{name}={value}");
        }
    }
    assert_eq!(wrong(&[("application_id", "shop")], &[]), ["application_id"]);
    for list in ["tasks:read,", ",tasks:read", "a:b,,c:d", "tasks:read;tasks:write", "tasks", "*:*:*"] {
        assert!(wrong(&[("required_permissions", list)], &[])[0].starts_with("required_permissions["), "{list}");
    }
    let many = vec!["a:b"; 101].join(",");
    assert_eq!(wrong(&[("required_permissions", &many)], &[]), ["required_permissions"]);
    assert_eq!(wrong(&[("x", "y"), ("application_id", "shop")], &[]).len(), 2, "all of it at once");
}

#[test]
fn the_log_hears_names_cut_short_and_no_values() {
    let long = "n".repeat(1000);
    let extensions: Vec<_> = (0..20).map(|at| format!("{at:02}\n{long}")).collect();
    let extensions: Vec<_> = extensions.iter().map(|name| (name.as_str(), "a value")).collect();
    let Err(NotAsked::Route(wrong)) = asked(&extensions, &[]) else { panic!("wrong") };
    let line = for_the_log(&wrong);
    assert!(line.len() < 1000 && !line.contains('\n') && !line.contains("a value"), "{line}");
}

#[test]
fn what_is_no_http_request_asks_nothing() {
    let attributes = Some(AttributeContext::default());
    for request in [CheckRequest::default(), CheckRequest { attributes }] {
        assert!(matches!(Question::read(&request), Err(NotAsked::NotHttp)));
    }
}

#[test]
fn one_key_in_one_place_or_the_same_in_both() {
    let bearer = format!("Bearer {KEY}");
    let (bearer, other) = (("authorization", bearer.as_str()), ("authorization", "Bearer other"));
    let key = ("x-api-key", KEY);
    for headers in [&[bearer][..], &[key], &[bearer, key], &[("authorization", "Basic x"), key]] {
        let verify = asked(&[], headers).expect("asked");
        assert!(matches!(verify.subject, keys::Subject::Hash(_)), "{headers:?}");
    }
    for headers in [&[other, key][..], &[bearer, ("x-api-key", "x")], &[bearer, key, key]] {
        assert!(matches!(asked(&[], headers), Err(NotAsked::KeysDiffer)), "{headers:?}");
    }
    for headers in [&[][..], &[("authorization", KEY)], &[("x-api-key", " "), ("authorization", "Bearer")]] {
        assert!(matches!(asked(&[], headers), Err(NotAsked::KeyMissing)), "{headers:?}");
    }
    let twice = asked(&[], &[key, key]).expect("asked");
    assert!(!matches!(twice.subject, keys::Subject::Hash(_)), "two are never one");
}
