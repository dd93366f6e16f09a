//! The signature scheme against Project Wycheproof, and the syntax against anything.

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::{
    auth::Presented,
    domain::time::Timestamp,
    signing::{self, PublicKey, PublicKeyRefused, token::Token},
};
use proptest::prelude::*;
use wycheproof::{
    TestResult,
    rsa_pkcs1_verify::{TestName, TestSet},
};

#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    cases: usize,
    good: usize,
    bad: usize,
    /// Signatures that a lenient reader takes; we do not.
    acceptable_and_refused: usize,
    /// With e = 3: such a key is never registered.
    of_refused_keys: usize,
}

fn count(set: TestName, bits: usize) -> Count {
    let mut count = Count::default();
    for group in TestSet::load(set).expect("vectors").test_groups {
        count.cases += group.tests.len();
        assert_eq!(group.key_size, bits);
        let key = match PublicKey::from_pem(&group.pem) {
            Ok(key) => key,
            Err(refused) => {
                assert_eq!(refused, PublicKeyRefused::Exponent);
                count.of_refused_keys += group.tests.len();
                continue;
            }
        };
        for test in group.tests {
            let passes = key.verify(&test.msg, &test.sig);
            assert_eq!(passes, test.result == TestResult::Valid, "{set:?} {}: {}", test.tc_id, test.comment);
            match test.result {
                TestResult::Valid => count.good += 1,
                TestResult::Invalid => count.bad += 1,
                TestResult::Acceptable => count.acceptable_and_refused += 1,
            }
        }
    }
    count
}

#[test]
fn the_vectors_of_wycheproof_are_answered_as_they_say_and_strictly() {
    let counts = [(TestName::Rsa2048Sha256, 2048), (TestName::Rsa3072Sha256, 3072), (TestName::Rsa4096Sha256, 4096)]
        .map(|(set, bits)| count(set, bits));
    let expected = [
        Count { cases: 259, good: 7, bad: 249, acceptable_and_refused: 1, of_refused_keys: 2 },
        Count { cases: 259, good: 7, bad: 250, acceptable_and_refused: 1, of_refused_keys: 1 },
        Count { cases: 258, good: 7, bad: 250, acceptable_and_refused: 1, of_refused_keys: 0 },
    ];
    assert_eq!(counts, expected);
}

#[test]
fn no_signature_of_another_hash_or_size_passes() {
    let mut keys = 0;
    for set in [TestName::Rsa2048Sha512, TestName::Rsa2048Sha224, TestName::Rsa4096Sha512, TestName::Rsa8192Sha256] {
        for group in TestSet::load(set).expect("vectors").test_groups {
            let key = match PublicKey::from_pem(&group.pem) {
                Ok(key) => key,
                Err(refused) => {
                    let known = [PublicKeyRefused::Exponent, PublicKeyRefused::Unreadable];
                    assert!(known.contains(&refused) || group.key_size > 4096, "{refused}");
                    continue;
                }
            };
            assert!(group.key_size <= 4096);
            keys += 1;
            for test in group.tests {
                // Some bad vectors of the other hash are made with SHA-256, and are good here.
                let of_ours = test.result == TestResult::Invalid && test.comment.contains("SHA-256");
                assert!(of_ours || !key.verify(&test.msg, &test.sig), "{set:?} {}: {}", test.tc_id, test.comment);
            }
        }
    }
    assert!(keys >= 3, "{keys}");
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[0-9]{10}".prop_map(String::into_bytes),
        "[0-9+ -]{8,14}".prop_map(String::into_bytes),
        "[A-Za-z0-9_-]{20,66}".prop_map(String::into_bytes),
        "[A-Za-z0-9+/]{0,40}={0,3}".prop_map(String::into_bytes),
        "[Bb]earer [A-Za-z0-9_.-]{0,60}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_headers_are_read_or_refused(pairs in prop::collection::vec((0..5usize, values()), 0..7)) {
        let names = [signing::KID, signing::TIMESTAMP, signing::NONCE, signing::SIGNATURE, "authorization"];
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(names[name]), value);
            }
        }
        match Presented::read(&headers, || Timestamp::from_seconds(1_795_219_200)) {
            Ok(Presented::Nothing) => prop_assert!(headers.is_empty()),
            Ok(Presented::Token(_)) => prop_assert_eq!(headers.len(), 1),
            Ok(Presented::Signed(_)) => {
                prop_assert_eq!(headers.len(), 4);
                prop_assert!(headers.values().all(|value| value.as_bytes().is_ascii() && !value.as_bytes().contains(&b',')));
            }
            Err(refusal) => prop_assert!(!refusal.to_string().is_empty()),
        }
    }

    #[test]
    fn any_text_is_a_token_or_refused(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}"]) {
        prop_assert!(Token::parse(&text).is_err(), "none of these is signed");
    }
}
