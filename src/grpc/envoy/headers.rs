use std::borrow::Cow;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;

pub(super) const AUTHORIZATION: &str = "authorization";
pub(super) const API_KEY: &str = "x-api-key";
pub(super) const ORIGIN: &str = "origin";
pub(super) const REFERER: &str = "referer";

/// The headers that a client sent, in either form in which Envoy tells them: joined, or one
/// by one (`encode_raw_headers`).
#[derive(Clone)]
pub(super) struct Headers<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Headers<'a> {
    pub(super) fn of(http: &'a HttpRequest) -> Self {
        let joined = http.headers.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str())));
        let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|header| {
            let raw = String::from_utf8_lossy(&header.raw_value);
            (header.key.as_str(), if raw.is_empty() { Cow::Borrowed(header.value.as_str()) } else { raw })
        });
        Self(joined.chain(raw).collect())
    }

    /// The value of a header, without the spaces around it. Several values are one with commas
    /// between them (RFC 9110 §5.3), so that two keys never pass as one. An empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut values = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let first = values.next()?;
        let value = values.fold(first.clone(), |all, more| Cow::Owned(format!("{all},{more}")));
        let value = match value {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        Some(value).filter(|value| !value.is_empty())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// Whether `authorization` is `Bearer`: then what it holds is a key of ours, or meant to be.
    pub(super) fn has_bearer(&self) -> bool {
        self.get(AUTHORIZATION).is_some_and(|value| scheme_and_rest(&value).0.eq_ignore_ascii_case("bearer"))
    }

    /// Whether somebody behind us may read a key out of `authorization`.
    pub(super) fn may_hold_bearer(&self) -> bool {
        self.get(AUTHORIZATION).is_some_and(|value| may_hold_bearer(&value))
    }

    /// What stands behind `Bearer`.
    pub(super) fn bearer(&self) -> Option<String> {
        let value = self.get(AUTHORIZATION).filter(|_| self.has_bearer())?;
        let (_, rest) = scheme_and_rest(&value);
        Some(rest.to_owned()).filter(|rest| !rest.is_empty())
    }
}

/// Whether a value may be read as `Bearer` and a key by somebody who reads less strictly than
/// we do: behind a comma, or with a tab.
fn may_hold_bearer(value: &str) -> bool {
    value.split(',').any(|part| {
        let (scheme, rest) = part.trim_start().split_at_checked(6).unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer")
            && !rest.starts_with(|c: char| !c.is_ascii_whitespace() && !c.is_ascii_control())
    })
}

/// RFC 9110 §11.4: one space or more between them.
fn scheme_and_rest(value: &str) -> (&str, &str) {
    value.split_once(' ').map_or((value, ""), |(scheme, rest)| (scheme, rest.trim_start()))
}

#[cfg(test)]
pub(super) mod tests {
    use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};

    use super::*;

    /// As Envoy tells them with `encode_raw_headers`.
    pub(in crate::grpc::envoy) fn raw(headers: &[(&str, &str)]) -> HttpRequest {
        let header = |(key, value): &(&str, &str)| HeaderValue {
            key: (*key).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..Default::default()
        };
        let header_map = Some(HeaderMap { headers: headers.iter().map(header).collect() });
        HttpRequest { header_map, ..Default::default() }
    }

    /// As Envoy tells them without it.
    pub(in crate::grpc::envoy) fn joined(headers: &[(&str, &str)]) -> HttpRequest {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpRequest { headers, ..Default::default() }
    }

    #[test]
    fn both_forms_read_alike_whatever_the_case_and_the_spaces() {
        for http in [raw(&[("X-Api-Key", "  k ")]), joined(&[("x-api-KEY", " k")])] {
            assert_eq!(Headers::of(&http).get(API_KEY).as_deref(), Some("k"));
        }
    }

    #[test]
    fn an_empty_value_is_none_and_two_are_never_one() {
        assert_eq!(Headers::of(&raw(&[("x-api-key", "  ")])).get(API_KEY), None);
        assert_eq!(Headers::of(&raw(&[])).get(API_KEY), None);
        let twice = raw(&[("x-api-key", "k"), ("x-api-key", "k")]);
        assert_eq!(Headers::of(&twice).get(API_KEY).as_deref(), Some("k,k"));
        let with_empty = raw(&[("x-api-key", ""), ("x-api-key", "k")]);
        assert_eq!(Headers::of(&with_empty).get(API_KEY).as_deref(), Some(",k"));
    }

    #[test]
    fn a_bearer_is_known_by_its_scheme_alone() {
        let bearer = |value: &str| {
            let http = raw(&[("authorization", value)]);
            let headers = Headers::of(&http);
            (headers.has_bearer(), headers.bearer())
        };
        let key = |text: &str| (true, Some(text.to_owned()));
        assert_eq!(bearer("Bearer k"), key("k"));
        assert_eq!(bearer("bEARER   k "), key("k"));
        assert_eq!(bearer("Bearer k,Bearer l"), key("k,Bearer l"));
        assert_eq!(bearer("Bearer"), (true, None));
        assert_eq!(bearer("Bearer "), (true, None));
        for other in ["", "k", "Basic azpr", "Bearer\tk", "Bearerk", "Token k"] {
            assert_eq!(bearer(other), (false, None), "{other:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_make_no_key() {
        let mut http = raw(&[("x-api-key", "k")]);
        http.header_map.as_mut().expect("raw").headers[0].raw_value = vec![b'k', 0xff];
        assert_eq!(Headers::of(&http).get(API_KEY).as_deref(), Some("k\u{fffd}"));
    }

    #[test]
    fn what_a_lax_reader_may_take_for_a_bearer_is_known() {
        for held in [
            "Bearer k",
            "bearer k",
            "BEARER\tk",
            "Basic YQ==, Bearer k",
            "Basic YQ==,bearer\u{b}k",
            "Bearer",
            "Bearer\u{c}k",
        ] {
            assert!(may_hold_bearer(held), "{held:?}");
        }
        for not in ["", "Basic YQ==", "Bearers k", "Bearer=k", "Digest bearer"] {
            assert!(!may_hold_bearer(not), "{not:?}");
        }
    }
}
