//! JSON and the bytes that every encoder must make of it: what is signed from JSON here
//! must be what grpcurl sends from the same JSON.

use portcullis::{
    client::Schema,
    pb::{
        AddServiceAccountKeyRequest, CreateKeyRequest, CreateServiceAccountRequest, Key, KeyEnvironment, KeyType,
        Label, ListKeysRequest, RevokeKeyRequest, RevokeReason, RevokeWait, Role, ServiceAccount, UpdateKeyRequest,
        VerifyKeyRequest, create_key_request::Expiration, verify_key_request::Subject,
    },
};
use prost::Message as _;
use prost_types::{Duration, FieldMask, Timestamp};

pub(crate) struct Example {
    pub(crate) method: &'static str,
    pub(crate) json: &'static str,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn examples() -> Vec<Example> {
    let example = |method, json, bytes| Example { method, json, bytes };
    let mut examples = keys();
    examples.extend([
        example(
            "ServiceAccountService/CreateServiceAccount",
            r#"{"service_account": {"name": "ci", "roles": ["ROLE_EDITOR", "ROLE_WATCHER"], "application_ids": ["app_1", "app_2"],
                "grantable_permissions": ["tasks:*"], "all_applications": false}, "request_id": "7f9c24e8-3b12-4fef-91e0-56a2d5a0c8f1"}"#,
            CreateServiceAccountRequest {
                service_account: Some(ServiceAccount {
                    name: "ci".to_owned(),
                    roles: vec![Role::Editor.into(), Role::Watcher.into()],
                    application_ids: vec!["app_1".to_owned(), "app_2".to_owned()],
                    grantable_permissions: vec!["tasks:*".to_owned()],
                    ..ServiceAccount::default()
                }),
                request_id: "7f9c24e8-3b12-4fef-91e0-56a2d5a0c8f1".to_owned(),
                wait: 0,
            }
            .encode_to_vec(),
        ),
        example(
            "ServiceAccountService/AddServiceAccountKey",
            r#"{"service_account_id": "sa_1", "public_key_pem": "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"}"#,
            AddServiceAccountKeyRequest {
                service_account_id: "sa_1".to_owned(),
                public_key_pem: "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n".to_owned(),
                wait: 0,
            }
            .encode_to_vec(),
        ),
    ]);
    examples
}

fn keys() -> Vec<Example> {
    let example = |method, json, bytes| Example { method, json, bytes };
    vec![
        example(
            "KeyService/CreateKey",
            r#"{"wait": "REVOKE_WAIT_NONE", "labels": [{"key": "team", "value": ""}, {}], "ttl": "3600.5s",
                "permissions": ["tasks:read", "*:read"], "name": "Käse \"☃\" \ud83d\ude00\n", "applicationId": "app_1",
                "type": "KEY_TYPE_SECRET", "environment": 2, "description": "", "request_id": null}"#,
            CreateKeyRequest {
                application_id: "app_1".to_owned(),
                name: "Käse \"☃\" 😀\n".to_owned(),
                r#type: KeyType::Secret.into(),
                environment: KeyEnvironment::Test.into(),
                permissions: vec!["tasks:read".to_owned(), "*:read".to_owned()],
                expiration: Some(Expiration::Ttl(Duration { seconds: 3600, nanos: 500_000_000 })),
                labels: vec![Label { key: "team".to_owned(), value: String::new() }, Label::default()],
                wait: RevokeWait::None.into(),
                ..CreateKeyRequest::default()
            }
            .encode_to_vec(),
        ),
        example(
            "KeyService/CreateKey",
            r#"{"name": "x", "expire_time": "2030-01-31T14:00:00.000000001+02:00"}"#,
            CreateKeyRequest {
                name: "x".to_owned(),
                expiration: Some(Expiration::ExpireTime(Timestamp { seconds: 1_896_091_200, nanos: 1 })),
                ..CreateKeyRequest::default()
            }
            .encode_to_vec(),
        ),
        example(
            "KeyService/CreateKey",
            r#"{"ttl": "0s"}"#,
            CreateKeyRequest { expiration: Some(Expiration::Ttl(Duration::default())), ..CreateKeyRequest::default() }
                .encode_to_vec(),
        ),
        example(
            "KeyService/UpdateKey",
            r#"{"update_mask": {"paths": ["disabled", "expire_time"]}, "key": {"etag": "e", "application_id": "app_1", "key_id": "key_1",
                "disabled": true, "revision": "9007199254740993"}}"#,
            UpdateKeyRequest {
                key: Some(Key {
                    application_id: "app_1".to_owned(),
                    key_id: "key_1".to_owned(),
                    disabled: true,
                    revision: 9_007_199_254_740_993,
                    etag: "e".to_owned(),
                    ..Key::default()
                }),
                update_mask: Some(FieldMask { paths: vec!["disabled".to_owned(), "expire_time".to_owned()] }),
                wait: 0,
            }
            .encode_to_vec(),
        ),
        example(
            "KeyService/UpdateKey",
            r#"{"key": {}, "updateMask": {"paths": null}}"#,
            UpdateKeyRequest { key: Some(Key::default()), update_mask: Some(FieldMask::default()), wait: 0 }
                .encode_to_vec(),
        ),
        example(
            "KeyService/RevokeKey",
            r#"{"application_id": "app_1", "key_id": "key_1", "reason": "REVOKE_REASON_LEAKED", "comment": "seen in a log"}"#,
            RevokeKeyRequest {
                application_id: "app_1".to_owned(),
                key_id: "key_1".to_owned(),
                reason: RevokeReason::Leaked.into(),
                comment: "seen in a log".to_owned(),
                ..RevokeKeyRequest::default()
            }
            .encode_to_vec(),
        ),
        example("KeyService/ListKeys", "{}", ListKeysRequest::default().encode_to_vec()),
        example(
            "KeyService/ListKeys",
            r#"{"page_size": -1, "show_revoked": true}"#,
            ListKeysRequest { page_size: -1, show_revoked: true, ..ListKeysRequest::default() }.encode_to_vec(),
        ),
        example(
            "KeyService/VerifyKey",
            r#"{"required_permissions": ["", "a:b"], "secret": ""}"#,
            VerifyKeyRequest {
                subject: Some(Subject::Secret(String::new())),
                required_permissions: vec![String::new(), "a:b".to_owned()],
                ..VerifyKeyRequest::default()
            }
            .encode_to_vec(),
        ),
    ]
}

#[test]
fn a_mask_is_the_same_as_a_string() {
    let method = Schema::new().method("KeyService/UpdateKey").expect("method");
    for (text, object) in [
        (r#"{"update_mask": "name,expireTime"}"#, r#"{"update_mask": {"paths": ["name", "expire_time"]}}"#),
        (r#"{"update_mask": ""}"#, r#"{"update_mask": {}}"#),
        (r#"{"update_mask": "*"}"#, r#"{"updateMask": {"paths": ["*"]}}"#),
    ] {
        assert_eq!(method.request(text).expect(text), method.request(object).expect(object));
    }
}

#[test]
fn json_becomes_the_bytes_that_prost_encodes() {
    let schema = Schema::new();
    for Example { method, json, bytes } in examples() {
        let made = schema.method(method).expect(method).request(json).expect(json);
        assert_eq!(made, bytes, "{method} {json}");
    }
}
