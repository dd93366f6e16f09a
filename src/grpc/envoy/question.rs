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
            // Envoy asks about every request, so no revocation needs to wait for what it kept.
            Ok(verify) => Some(VerifyKey { may_cache: false, ..verify }),
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
mod tests;
