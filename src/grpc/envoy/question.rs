use std::collections::HashMap;

use envoy_types::{ext_authz::v3::CheckRequestExt as _, pb::envoy::service::auth::v3::CheckRequest};

use super::headers::{API_KEY, Headers, ORIGIN, REFERER};
use crate::{
    domain::{
        network,
        refusal::{Refusal, Violations},
        resource::Resource,
    },
    grpc::convert::verify,
    keys::VerifyKey,
    pb::{self, verify_key_request::Subject},
};

/// What Envoy asks about a request, as `VerifyKey` would be asked.
pub(super) struct Question<'a> {
    pub(super) verify: VerifyKey,
    /// By the client, to be taken away where it could pass for ours.
    pub(super) sent: Headers<'a>,
}

/// Why nothing is asked.
#[derive(Debug)]
pub(super) enum NotAsked {
    /// What Envoy tells is about no HTTP request.
    NotHttp,
    /// The route says something that nobody understands, and what it meant is not known.
    Route(Violations),
    KeyMissing,
    /// `authorization` holds another key than `x-api-key`.
    KeysDiffer,
}

impl<'a> Question<'a> {
    pub(super) fn read(request: &'a CheckRequest) -> Result<Self, NotAsked> {
        let attributes = request.attributes.as_ref().ok_or(NotAsked::NotHttp)?;
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref()).ok_or(NotAsked::NotHttp)?;
        let sent = Headers::of(http);
        let (route, mut wrong) = route(&attributes.context_extensions);
        // Read before the key is looked for: a route that is wrong is wrong for everybody.
        let secret = secret(&sent);
        let asked = pb::VerifyKeyRequest {
            subject: Some(Subject::Secret(secret.as_deref().unwrap_or_default().to_owned())),
            client_ip: client_ip(request),
            referrer: sent.get(ORIGIN).or_else(|| sent.get(REFERER)).unwrap_or_default().into_owned(),
            ..route
        };
        let verify = match verify::verify(&asked) {
            Ok(verify) => Some(verify),
            Err(Refusal::FieldInvalid(more)) => {
                wrong.append(more);
                None
            }
            Err(_) => None,
        };
        let verify = wrong.settle_with(verify).map_err(|refusal| match refusal {
            Refusal::FieldInvalid(wrong) => NotAsked::Route(wrong),
            other => NotAsked::Route(Violations::one("context_extensions", other)),
        })?;
        secret.map(|_| Self { verify, sent })
    }
}

/// What the route asks for, by the names of `VerifyKeyRequest`. A name that is not known may
/// be a restriction that is misspelt, and an empty value one that was never filled in: both
/// would let requests through that the route meant to refuse.
fn route(extensions: &HashMap<String, String>) -> (pb::VerifyKeyRequest, Violations) {
    let (mut asked, mut wrong) = (pb::VerifyKeyRequest::default(), Violations::default());
    for (name, value) in extensions {
        match (name.as_str(), value.trim()) {
            (_, "") => wrong.add(name, "is empty; leave it out where nothing is meant"),
            ("application_id", id) => asked.application_id = id.to_owned(),
            ("required_permissions", list) => {
                asked.required_permissions = list.split(',').map(|one| one.trim().to_owned()).collect();
            }
            ("environment", "live") => asked.environment = pb::KeyEnvironment::Live.into(),
            ("environment", "test") => asked.environment = pb::KeyEnvironment::Test.into(),
            ("environment", _) => wrong.add(name, "is neither `live` nor `test`"),
            ("resource", resource) => {
                // Of a client it would be unknown, and refused only where it matters.
                wrong.check(name, Resource::parse(resource));
                asked.resource = resource.to_owned();
            }
            ("cost", cost) => match cost.parse() {
                Ok(cost) if cost != 0 => asked.cost = cost,
                _ => wrong.add(name, "is not a number from 1 on"),
            },
            _ => wrong.add(name, "is not a name that this version knows"),
        }
    }
    (asked, wrong)
}

/// The address of the connection as Envoy states it. None where there is no such: of a Unix
/// socket, for example.
fn client_ip(request: &CheckRequest) -> String {
    let stated = request.get_client_address().filter(|address| network::parse_address(address).is_ok());
    stated.cloned().unwrap_or_default()
}

fn secret(sent: &Headers<'_>) -> Result<String, NotAsked> {
    match (sent.bearer(), sent.get(API_KEY)) {
        (Some(one), Some(other)) if one != other => Err(NotAsked::KeysDiffer),
        (Some(key), _) => Ok(key),
        (None, Some(key)) => Ok(key.into_owned()),
        (None, None) => Err(NotAsked::KeyMissing),
    }
}

/// What of a wrong route stands in the log: the names of its extensions, each cut short, and
/// never their values.
pub(super) fn for_the_log(wrong: &Violations) -> String {
    const NAMES: usize = 8;
    const LENGTH: usize = 64;
    let one = |violation: &crate::domain::refusal::Violation| {
        let name: String = violation.field.chars().take(LENGTH).collect();
        format!("{name:?} {}", violation.description)
    };
    wrong.iter().take(NAMES).map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
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
        let extensions =
            [("application_id", app), ("required_permissions", "tasks:read, a:*"), ("environment", "test")];
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
        assert!(matches!(twice.subject, keys::Subject::Malformed), "two are never one");
    }
}
