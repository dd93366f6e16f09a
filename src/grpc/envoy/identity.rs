//! The headers that tell the upstream whose key it was. They are ours alone: what a client
//! sends under these names, or what a server could take for them, never arrives.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::headers::{API_KEY, AUTHORIZATION, Headers};
use crate::{
    domain::verdict::KeyFacts,
    grpc::convert::key::{to_environment, to_kind},
};

const KEY_ID: &str = "x-portcullis-key-id";
const KEY_NAME: &str = "x-portcullis-key-name";
const KEY_TYPE: &str = "x-portcullis-key-type";
const APPLICATION_ID: &str = "x-portcullis-application-id";
const ENVIRONMENT: &str = "x-portcullis-environment";
const PERMISSIONS: &str = "x-portcullis-permissions";
const SUPERSEDED_BY: &str = "x-portcullis-superseded-by";

pub(super) const ALL: [&str; 7] = [KEY_ID, KEY_NAME, KEY_TYPE, APPLICATION_ID, ENVIRONMENT, PERMISSIONS, SUPERSEDED_BY];

/// A name may hold any character that shows. In a header it is visible ASCII, and nothing of
/// it is cut off at its ends.
const NOT_IN_A_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// What is set for the upstream, in place of whatever the client sent.
pub(super) fn of(facts: &KeyFacts) -> Vec<(&'static str, String)> {
    let permissions: Vec<_> = facts.permissions.iter().map(ToString::to_string).collect();
    let mut set = vec![
        (KEY_ID, facts.id.to_string()),
        (KEY_NAME, utf8_percent_encode(&facts.name, NOT_IN_A_HEADER).to_string()),
        (KEY_TYPE, word(to_kind(facts.kind).as_str_name(), "KEY_TYPE_")),
        (APPLICATION_ID, facts.application_id.to_string()),
        (ENVIRONMENT, word(to_environment(facts.environment).as_str_name(), "KEY_ENVIRONMENT_")),
        (PERMISSIONS, permissions.join(",")),
        (SUPERSEDED_BY, facts.successor.as_ref().map_or_else(String::new, |next| next.key_id.to_string())),
    ];
    set.retain(|(_, value)| !value.is_empty());
    set
}

/// `KEY_TYPE_SECRET` as `secret`.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

/// What is taken away before the request goes on: the key, what of ours is not set this time,
/// and what some servers take for ours, since they do not tell `_` from `-`.
pub(super) fn to_remove(set: &[(&'static str, String)], sent: &Headers<'_>) -> Vec<String> {
    let is_set = |name: &str| set.iter().any(|(known, _)| *known == name);
    let mut names: Vec<_> = ALL.iter().filter(|name| !is_set(name)).map(|name| (*name).to_owned()).collect();
    names.push(API_KEY.to_owned());
    if sent.may_hold_bearer() {
        names.push(AUTHORIZATION.to_owned());
    }
    let look_alikes = sent.names().map(str::to_ascii_lowercase).filter(|name| {
        let plain = name.replace('_', "-");
        *name != plain && (plain == API_KEY || ALL.contains(&plain.as_str()))
    });
    names.extend(look_alikes);
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            id::{ApplicationId, KeyId},
            key::KeyEnvironment,
            lineage::Successor,
            time::Timestamp,
        },
        grpc::envoy::headers::tests::raw,
    };

    fn facts(name: &str, permissions: &[&str]) -> KeyFacts {
        let [id, application_id] = [1, 2].map(Uuid::from_u128);
        KeyFacts {
            name: name.into(),
            environment: KeyEnvironment::Test,
            permissions: permissions.iter().map(|text| text.parse().expect("permission")).collect(),
            ..KeyFacts::plain(KeyId::new(id), ApplicationId::new(application_id))
        }
    }

    fn removed(set: &[(&'static str, String)], sent: &[(&str, &str)]) -> Vec<String> {
        to_remove(set, &Headers::of(&raw(sent)))
    }

    #[test]
    fn every_header_of_ours_is_either_set_or_removed_whatever_was_sent() {
        for permissions in [&["a:b"][..], &[]] {
            for sent in [&[][..], &ALL.map(|name| (name, "forged"))] {
                let set = of(&facts("n", permissions));
                let removed = removed(&set, sent);
                for name in ALL {
                    let is_set = set.iter().filter(|(known, _)| *known == name).count();
                    assert_eq!(is_set + removed.iter().filter(|known| *known == name).count(), 1, "{name}");
                }
                assert_eq!(removed.contains(&PERMISSIONS.to_owned()), permissions.is_empty());
            }
        }
    }

    #[test]
    fn a_key_that_was_rotated_names_the_one_to_use() {
        let next = Successor { key_id: KeyId::new(Uuid::from_u128(3)), overlap_end_time: Timestamp::MAX };
        let rotated = KeyFacts { successor: Some(Box::new(next)), ..facts("n", &[]) };
        assert!(of(&rotated).contains(&(SUPERSEDED_BY, next.key_id.to_string())));
        assert!(!of(&facts("n", &[])).iter().any(|(name, _)| *name == SUPERSEDED_BY));
    }

    #[test]
    fn what_a_server_could_take_for_ours_is_removed_and_nothing_else() {
        let set = of(&facts("n", &["a:b"]));
        let sent = [
            ("X_Portcullis_Key_Id", "forged"),
            ("x-portcullis-key_id", "forged"),
            ("x-portcullis_key-id", "forged"),
            ("X_API_KEY", "k"),
            ("x-portcullis-kid", "not an identity header"),
            ("x_other", "o"),
            ("cookie", "c"),
        ];
        let removed = removed(&set, &sent);
        let expected = [
            "x-api-key",
            "x-portcullis-key_id",
            "x-portcullis-superseded-by",
            "x-portcullis_key-id",
            "x_api_key",
            "x_portcullis_key_id",
        ];
        assert_eq!(removed, expected);
    }

    #[test]
    fn authorization_is_removed_where_it_is_a_bearer() {
        let is_removed = |value: &str| removed(&[], &[("Authorization", value)]).contains(&AUTHORIZATION.to_owned());
        assert!(is_removed("Bearer k") && is_removed("bearer") && is_removed("BEARER k,Bearer l"));
        assert!(!is_removed("Basic dTpw") && !is_removed("") && !is_removed("k"));
    }

    /// The route that asks nobody removes them by name.
    #[test]
    fn the_docs_name_every_header_of_ours() {
        let page = include_str!("../../../docs/envoy.md");
        let configuration = include_str!("../../../docs/envoy.yaml");
        for name in ALL {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
            assert!(configuration.contains(&format!("- {name}\n")), "{name}");
        }
    }

    /// What Envoy makes of an answer: the last hop before the upstream.
    fn arrives(set: &[(&'static str, String)], sent: &[(String, String)]) -> Vec<(String, String)> {
        let borrowed: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let removed = removed(set, &borrowed);
        let mut headers: Vec<_> = sent.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        for (name, value) in set {
            headers.retain(|(known, _)| known != name);
            headers.push(((*name).to_owned(), value.clone()));
        }
        headers.retain(|(known, _)| !removed.contains(known));
        headers
    }

    /// One of ours, spelt in any case, with any of its `-` as `_`.
    fn spelt() -> impl Strategy<Value = String> {
        let names = ALL.into_iter().chain([API_KEY, AUTHORIZATION]).collect::<Vec<_>>();
        (proptest::sample::select(names), any::<[bool; 32]>(), any::<[bool; 32]>()).prop_map(|(name, upper, under)| {
            let letter = |(at, letter): (usize, char)| match letter {
                '-' if under[at] => '_',
                letter if upper[at] => letter.to_ascii_uppercase(),
                letter => letter,
            };
            name.chars().enumerate().map(letter).collect()
        })
    }

    proptest! {
        #[test]
        fn nothing_that_reads_as_ours_arrives_but_what_is_ours(
            sent in proptest::collection::vec((spelt(), "(Bearer )?[a-z]{0,3}"), 0..20), nobody: bool,
        ) {
            let set = of(&facts("n", if nobody { &[] } else { &["a:b"] }));
            let mut ours: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let mut arrived = arrives(&set, &sent);
            prop_assert!(!arrived.iter().any(|(name, _)| name.replace('_', "-") == API_KEY));
            arrived.retain(|(name, _)| ALL.contains(&name.replace('_', "-").as_str()));
            arrived.sort();
            ours.sort();
            prop_assert_eq!(arrived, ours);
        }

        #[test]
        fn every_value_is_visible_ascii_and_reads_back(name in "\\PC{1,40}") {
            for (header, value) in of(&facts(&name, &["a:b", "*"])) {
                prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{header}: {value:?}");
                if header == KEY_NAME {
                    let back = percent_encoding::percent_decode_str(&value).decode_utf8().expect("UTF-8");
                    prop_assert_eq!(back, name.as_str());
                }
            }
        }
    }
}
