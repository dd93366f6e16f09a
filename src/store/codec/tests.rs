use super::*;
use crate::domain::{limit::Plan, restriction::Restrictions};

fn application() -> serde_json::Value {
    serde_json::json!([{"kind": "application", "row": {
        "application_id": "app_0000000000000000000001", "name": "a", "key_prefix": null, "create_time": 1,
        "update_time": 1, "revision": 1,
    }}])
}

fn read(changes: serde_json::Value) -> Result<Vec<ChangeRow>, serde_json::Error> {
    serde_json::from_value(changes)
}

#[test]
fn an_event_of_a_newer_version_does_not_read_by_halves() {
    assert!(read(application()).is_ok());
    let mut with_field = application();
    with_field[0]["row"]["only_newer_versions_know"] = true.into();
    assert!(read(with_field).is_err(), "a field may restrict what this version would admit");
    let mut with_kind = application();
    with_kind[0]["kind"] = "something_new".into();
    assert!(read(with_kind).is_err());
}

#[test]
fn every_word_reads_back() {
    fn check<T: Word + PartialEq>() {
        assert!(T::ALL.iter().all(|value| T::read(value.word()).is_ok_and(|read| read == *value)));
        assert!(T::read("").is_err());
    }
    check::<Cause>();
    check::<KeyType>();
    check::<QuotaPeriod>();
    check::<KeyEnvironment>();
    check::<RevokeReason>();
    check::<Role>();
}

/// As they stand in the logs of the first version: they restrict and limit nothing.
#[test]
fn events_of_the_first_version_read() {
    let key = serde_json::json!([{"kind": "key", "cause": null, "row": {
        "key_id": "key_0000000000000000000001", "application_id": "app_0000000000000000000001", "name": "k",
        "description": "", "key_type": "secret", "environment": "live", "prefix": "sk_live_000000",
        "secret_sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "hash_version": 1,
        "permissions": ["tasks:read"], "labels": [], "disabled": false, "create_time": 1, "update_time": 1,
        "expire_time": null, "revoke_time": null, "revoke_reason": null, "revoke_comment": "",
        "created_by": "sa_0000000000000000000001", "revision": 1,
    }}]);
    let change = read(key).expect("the row").pop().expect("one").read().expect("its values");
    let Change::Key(KeyChange { facts, cause: None, .. }) = change else { panic!("{change:?}") };
    assert_eq!(*facts.restrictions, Restrictions::default());
    assert!(facts.limits.is_empty());
    let change = read(application()).expect("the row").pop().expect("one").read().expect("its values");
    let Change::Application(ApplicationChange { application, cause: None }) = change else { panic!("{change:?}") };
    assert_eq!((application.plan, application.max_cache_ttl), (Plan::None, Duration::ZERO));
}
