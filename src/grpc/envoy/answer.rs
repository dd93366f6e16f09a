use std::time::Duration;

use envoy_types::pb::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
        service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse},
        r#type::v3::HttpStatus,
    },
    google::rpc,
};
use serde::Serialize;
use tonic::Code;

use super::{headers::Headers, identity};
use crate::{
    domain::verdict::{KeyFacts, Verdict},
    grpc::convert::verify::to_verdict,
};

/// Why a request is refused, as its client hears it. The words tell nothing that the type
/// does not: whose key it is, and what it lacks, is the business of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Denial {
    status: i32,
    kind: &'static str,
    message: &'static str,
}

impl Denial {
    pub(super) const KEY_MISSING: Self = Self {
        status: 401,
        kind: "KEY_MISSING",
        message: "send an API key, as authorization: Bearer <key> or as x-api-key: <key>",
    };
    pub(super) const KEYS_DIFFER: Self = Self {
        status: 401,
        kind: "KEYS_DIFFER",
        message: "authorization and x-api-key hold different API keys; send one",
    };
    pub(super) const ROUTE_INVALID: Self =
        Self { status: 500, kind: "ROUTE_INVALID", message: "this route is not set up correctly; nothing passes it" };

    /// `None` for the one verdict that admits. A limit that tells no time to retry is below what
    /// the call costs.
    pub(super) fn of(verdict: Verdict, retry_after: Option<Duration>) -> Option<Self> {
        let (status, message) = match verdict {
            Verdict::Valid => return None,
            Verdict::Malformed => (401, "this is not an API key"),
            Verdict::NotFound => (401, "this API key is not known"),
            Verdict::Revoked => (401, "this API key is revoked"),
            Verdict::Expired => (401, "this API key has expired"),
            Verdict::Disabled => (401, "this API key is disabled"),
            Verdict::EnvironmentNotAllowed => (403, "this API key is of another environment"),
            Verdict::PermissionMissing => (403, "this API key lacks a permission that is needed here"),
            Verdict::IpNotAllowed => (403, "this API key may not be used from this address"),
            Verdict::ReferrerNotAllowed => (403, "this API key may not be used from this page"),
            Verdict::ResourceNotAllowed => (403, "this API key may not be used for this resource"),
            Verdict::RateLimited | Verdict::QuotaExceeded if retry_after.is_none() => {
                (429, "this call costs more than the API key's limit allows")
            }
            Verdict::RateLimited => (429, "this API key has used up its limit for now"),
            Verdict::QuotaExceeded => (429, "this API key has used up its quota"),
        };
        let name = to_verdict(verdict).as_str_name();
        Some(Self { status, kind: name.strip_prefix("VERDICT_").unwrap_or(name), message })
    }

    fn code(self) -> Code {
        match self.status {
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            429 => Code::ResourceExhausted,
            _ => Code::Internal,
        }
    }
}

/// The body of a refusal.
#[derive(Debug, Serialize)]
struct Body<'a> {
    r#type: &'a str,
    message: &'a str,
    request_id: &'a str,
}

/// A header for the client, and its value.
pub(super) type ForClient = (&'static str, String);

pub(super) fn allowed(key: &KeyFacts, sent: &Headers<'_>, limits: Vec<ForClient>) -> CheckResponse {
    let identity = identity::of(key);
    let ok = OkHttpResponse {
        headers_to_remove: identity::to_remove(&identity, sent),
        headers: identity.into_iter().map(|(name, value)| set(name, value)).collect(),
        response_headers_to_add: limits.into_iter().map(|(name, value)| set(name, value)).collect(),
        ..Default::default()
    };
    response(Code::Ok, "", HttpResponse::OkResponse(ok))
}

pub(super) fn denied(denial: Denial, limits: Vec<ForClient>, request_id: &str) -> CheckResponse {
    let Denial { status, kind, message } = denial;
    let body = Body { r#type: kind, message, request_id };
    let mut headers = vec![set("content-type", "application/json".to_owned())];
    if status == 401 {
        // RFC 6750 §3.1: who shows no credential is told of no error.
        let error = if denial == Denial::KEY_MISSING { "" } else { ", error=\"invalid_token\"" };
        headers.push(set("www-authenticate", format!("Bearer realm=\"api\"{error}")));
    }
    headers.extend(limits.into_iter().map(|(name, value)| set(name, value)));
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: status }),
        headers,
        body: serde_json::to_string(&body).unwrap_or_default(),
    };
    response(denial.code(), kind, HttpResponse::DeniedResponse(denied))
}

fn response(code: Code, message: &str, http_response: HttpResponse) -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status { code: code.into(), message: message.to_owned(), details: Vec::new() }),
        http_response: Some(http_response),
        ..Default::default()
    }
}

/// In place of all values that are there.
fn set(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, ..Default::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(denial: Denial) -> (i32, Vec<(String, String)>, serde_json::Value, i32) {
        let CheckResponse { status: Some(status), http_response: Some(HttpResponse::DeniedResponse(denied)), .. } =
            super::denied(denial, vec![("x-ratelimit-limit", "7".to_owned())], "the-id")
        else {
            panic!("a denial")
        };
        let pair = |option: HeaderValueOption| {
            assert_eq!(option.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd);
            option.header.map(|header| (header.key, header.value)).expect("a header")
        };
        let headers = denied.headers.into_iter().map(pair).collect();
        let body = serde_json::from_str(&denied.body).expect("JSON");
        (denied.status.expect("a status").code, headers, body, status.code)
    }

    #[test]
    fn a_denial_never_carries_the_code_that_admits() {
        assert_eq!(Denial::of(Verdict::Valid, None), None);
        let verdicts = [
            (401, "MALFORMED"),
            (401, "NOT_FOUND"),
            (401, "REVOKED"),
            (401, "EXPIRED"),
            (401, "DISABLED"),
            (403, "ENVIRONMENT_NOT_ALLOWED"),
            (403, "PERMISSION_MISSING"),
            (403, "IP_NOT_ALLOWED"),
            (403, "REFERRER_NOT_ALLOWED"),
            (403, "RESOURCE_NOT_ALLOWED"),
            (429, "RATE_LIMITED"),
            (429, "QUOTA_EXCEEDED"),
        ];
        assert_eq!(Verdict::ALL.len(), verdicts.len() + 1);
        let later = Some(Duration::from_secs(1));
        let of_keys = Verdict::ALL.into_iter().filter_map(|verdict| Denial::of(verdict, later)).zip(verdicts);
        let of_keys = of_keys.map(|(denial, (http, kind))| (denial, http, kind));
        let others = [
            (Denial::KEY_MISSING, 401, "KEY_MISSING"),
            (Denial::KEYS_DIFFER, 401, "KEYS_DIFFER"),
            (Denial::ROUTE_INVALID, 500, "ROUTE_INVALID"),
        ];
        for (denial, http, kind) in of_keys.chain(others) {
            let (status, headers, body, code) = parts(denial);
            assert_eq!((status, &body["type"], &body["request_id"]), (http, &kind.into(), &"the-id".into()));
            assert!(code != 0 && body["message"].as_str().is_some_and(|message| !message.is_empty()), "{kind}");
            assert_eq!(headers[0], ("content-type".to_owned(), "application/json".to_owned()));
            assert_eq!(headers.iter().any(|(name, _)| name == "www-authenticate"), http == 401, "{kind}");
            assert_eq!(headers.last(), Some(&("x-ratelimit-limit".to_owned(), "7".to_owned())));
        }
    }

    #[test]
    fn a_call_that_will_never_pass_is_not_told_to_come_again() {
        for verdict in [Verdict::RateLimited, Verdict::QuotaExceeded] {
            let message = |retry_after| Denial::of(verdict, retry_after).expect("a denial").message;
            assert_eq!(message(None), "this call costs more than the API key's limit allows");
            assert!(message(Some(Duration::ZERO)).starts_with("this API key has used up its "), "{verdict:?}");
        }
    }
}
