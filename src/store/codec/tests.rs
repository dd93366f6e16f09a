use sea_orm::{EntityTrait, IdenStatic as _, Iterable as _};

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

/// Of the first version.
fn first_key() -> serde_json::Value {
    serde_json::json!([{"kind": "key", "cause": null, "row": {
        "key_id": "key_0000000000000000000001", "application_id": "app_0000000000000000000001", "name": "k",
        "description": "", "key_type": "secret", "environment": "live", "prefix": "sk_live_000000",
        "secret_sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "hash_version": 1,
        "permissions": ["tasks:read"], "labels": [], "disabled": false, "create_time": 1, "update_time": 1,
        "expire_time": null, "revoke_time": null, "revoke_reason": null, "revoke_comment": "",
        "created_by": "sa_0000000000000000000001", "revision": 1,
    }}])
}

/// As they stand in the logs of the first version: they restrict and limit nothing.
#[test]
fn events_of_the_first_version_read() {
    let change = read(first_key()).expect("the row").pop().expect("one").read().expect("its values").remove(0);
    let Change::Key(KeyChange { facts, cause: None, .. }) = change else { panic!("{change:?}") };
    assert_eq!(*facts.restrictions, Restrictions::default());
    assert!(facts.limits.is_empty());
    let change = read(application()).expect("the row").pop().expect("one").read().expect("its values").remove(0);
    let Change::Application(ApplicationChange { application, cause: None }) = change else { panic!("{change:?}") };
    assert_eq!((application.plan, application.max_cache_ttl), (Plan::None, Duration::ZERO));
}

/// What stands in an event of version 1. A field more would stop every replica of an older version at
/// the first event that holds it: let it be left out where it says nothing (`skip_serializing_if`), raise
/// `event::READS`, name the version in `ChangeRow::version`, and then add it here.
#[test]
fn the_rows_in_events_have_the_fields_that_every_replica_reads() {
    fn columns<E: EntityTrait>() -> Vec<String> {
        E::Column::iter().map(|column| column.as_str().to_owned()).collect()
    }
    assert_eq!(
        columns::<api_key::Entity>(),
        &[
            "key_id",
            "application_id",
            "name",
            "description",
            "key_type",
            "environment",
            "prefix",
            "secret_sha256",
            "hash_version",
            "permissions",
            "labels",
            "disabled",
            "create_time",
            "update_time",
            "expire_time",
            "revoke_time",
            "revoke_reason",
            "revoke_comment",
            "created_by",
            "revision",
            "ip_allowlist",
            "referrer_allowlist",
            "resource_allowlist",
            "rate_limits",
            "quotas",
            "chain",
            "rotated_from",
            "rotated_to",
            "overlap_end_time",
            "expired",
            "auto_renew",
            "lifetime",
            "rotation_period",
            "next_rotation_time",
            "rotation_recipient_kid",
            "imported"
        ]
    );
    assert_eq!(
        columns::<application::Entity>(),
        &[
            "application_id",
            "name",
            "key_prefix",
            "create_time",
            "update_time",
            "revision",
            "plan",
            "rate_limits",
            "max_cache_ttl",
            "overlap",
            "notify_emails",
            "leak_policy",
            "alert_thresholds"
        ]
    );
    assert_eq!(
        columns::<service_account::Entity>(),
        &[
            "service_account_id",
            "name",
            "client_email",
            "roles",
            "all_applications",
            "application_ids",
            "grantable_permissions",
            "disabled",
            "create_time",
            "update_time",
            "revision",
            "client_certificate_names" // version 4, where there are any
        ]
    );
    assert_eq!(
        columns::<service_account_key::Entity>(),
        &["kid", "service_account_id", "public_key_pem", "create_time"]
    );
}

#[test]
fn an_event_says_which_version_reads_it() {
    let with = |cause: &str| {
        let mut event = application();
        event[0]["cause"] = cause.into();
        read(event).expect("the row").pop().expect("one").version().expect("a version")
    };
    assert_eq!((with("narrowed"), with("history_fork")), (event::FIRST, 2));
}

#[test]
fn an_account_without_names_of_certificates_stands_in_events_as_it_always_did() {
    let account = |names: &[&str]| {
        let row = serde_json::json!({
            "service_account_id": "sa_0000000000000000000001", "name": "a", "client_email": "e", "roles": [],
            "all_applications": true, "application_ids": [], "grantable_permissions": [], "disabled": false,
            "create_time": 1, "update_time": 1, "revision": 1, "client_certificate_names": names,
        });
        let event = serde_json::json!([{"kind": "service_account", "row": row, "keys": []}]);
        read(event).expect("the row").pop().expect("one")
    };
    let (without, with) = (account(&[]), account(&["spiffe://example.org/gateway"]));
    assert!(!serde_json::to_string(&without).expect("JSON").contains("client_certificate_names"));
    assert!(serde_json::to_string(&with).expect("JSON").contains("spiffe://example.org/gateway"));
    let versions = [without, with].map(|change| change.version().expect("a version"));
    assert_eq!(versions, [event::FIRST, event::CERTIFICATE_NAMES]);
}

#[test]
fn what_is_about_an_imported_key_is_of_version_3_and_nothing_else_is() {
    let version = |changes| read(changes).expect("the row").pop().expect("one").version().expect("a version");
    assert_eq!(version(first_key()), event::FIRST);
    let mut imported = first_key();
    imported[0]["row"]["imported"] = true.into();
    assert_eq!(version(imported.clone()), 3);
    let ChangeRow::Key { row, .. } = read(imported).expect("the row").pop().expect("one") else { panic!("a key") };
    let rows = [*row.clone(), api_key::Model { key_id: "key_0000000000000000000002".to_owned(), ..*row }];
    let written = serde_json::json!([ChangeRow::imported(&rows).expect("JSON")]);
    assert_eq!(written[0]["kind"], "imported_keys");
    assert_eq!(version(written.clone()), 3);
    let changes = read(written).expect("the rows").pop().expect("one").read().expect("its values");
    let keys = changes.iter().map(|change| match change {
        Change::Key(KeyChange { facts, cause: None, imported: true, .. }) => facts.id.to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["key_0000000000000000000001", "key_0000000000000000000002"]);
    let first = read(first_key()).expect("the row").pop().expect("one");
    assert!(!serde_json::to_string(&first).expect("JSON").contains("imported"), "an older version reads it");
}
