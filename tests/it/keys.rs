//! KeyService, the ordinary way.

use portcullis::pb;
use tonic::Code;

use crate::harness::{Server, refusal, upkeep::uncounted, uuid, violations};

fn get(key: &pb::Key) -> pb::GetKeyRequest {
    pb::GetKeyRequest { application_id: key.application_id.clone(), key_id: key.key_id.clone() }
}

fn update(key: &pb::Key, paths: &[&str], change: impl FnOnce(&mut pb::Key)) -> pb::UpdateKeyRequest {
    let mut wish =
        pb::Key { application_id: key.application_id.clone(), key_id: key.key_id.clone(), ..Default::default() };
    change(&mut wish);
    let update_mask =
        (!paths.is_empty()).then(|| prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() });
    pb::UpdateKeyRequest { key: Some(wish), update_mask, wait: 0 }
}

#[tokio::test]
async fn a_key_is_made_shown_listed_verified_and_revoked() {
    let server = Server::start().await;
    let made = server
        .key_with(|request| {
            request.description = "for tests".to_owned();
            request.labels = vec![pb::Label { key: "team".to_owned(), value: "Zürich".to_owned() }];
        })
        .await;
    let key = made.key.expect("key");
    assert!(made.secret.starts_with(&key.prefix));
    assert_eq!(key.prefix.len(), "sk_live_".len() + 6);
    assert_eq!(
        (key.state(), key.environment(), key.r#type()),
        (pb::KeyState::Active, pb::KeyEnvironment::Live, pb::KeyType::Secret)
    );
    assert_eq!(key.created_by, server.admin.account_id);
    assert_eq!(key.revision, made.revision);

    let got: pb::GetKeyResponse = server.by_token(&server.admin, "KeyService/GetKey", &get(&key)).await.expect("get");
    assert_eq!(got.key.as_ref(), Some(&key));
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
    assert_eq!(listed.keys, vec![key.clone()]);

    let answer = server.try_verify(&made.secret).await.expect("verify");
    assert_eq!(answer.verdict(), pb::Verdict::Valid);
    assert_eq!((&answer.key_id, &answer.labels, answer.revision), (&key.key_id, &key.labels, made.revision));

    let revoked = server.revoke(&key).await.key.expect("key");
    assert_eq!((revoked.state(), revoked.revoke_reason()), (pb::KeyState::Revoked, pb::RevokeReason::Other));
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
    assert!(listed.keys.is_empty(), "revoked keys are hidden");
    let list = pb::ListKeysRequest { show_revoked: true, ..list };
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
    assert_eq!(listed.keys.into_iter().map(uncounted).collect::<Vec<_>>(), [uncounted(revoked)]);
}

#[tokio::test]
async fn verdicts_come_in_the_documented_order() {
    let server = Server::start().await;
    let made = server
        .key_with(|request| {
            request.environment = pb::KeyEnvironment::Test.into();
            request.permissions = vec!["users:read".to_owned()];
            request.expiration =
                Some(pb::create_key_request::Expiration::Ttl(prost_types::Duration { seconds: 60, nanos: 0 }));
        })
        .await;
    let key = made.key.expect("key");
    // It is a test key without the permission: the environment comes first.
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::EnvironmentNotAllowed);
    let mut ask = pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::Secret(made.secret.clone())),
        environment: pb::KeyEnvironment::Test.into(),
        required_permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    };
    let answer: pb::VerifyKeyResponse =
        server.by_token(&server.admin, "KeyService/VerifyKey", &ask).await.expect("verify");
    assert_eq!(answer.verdict(), pb::Verdict::PermissionMissing);
    ask.required_permissions = vec!["users:read".to_owned()];
    let answer: pb::VerifyKeyResponse =
        server.by_token(&server.admin, "KeyService/VerifyKey", &ask).await.expect("verify");
    assert_eq!(answer.verdict(), pb::Verdict::Valid);

    let disable = update(&key, &["disabled"], |wish| wish.disabled = true);
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &disable).await.expect("disable");
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Disabled);
    server.advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Expired);
    server.revoke(&key).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);

    assert_eq!(server.verdict("sk_live_nonsense").await, pb::Verdict::Malformed);
    let other = server.key().await;
    let mut flipped = other.secret.into_bytes();
    flipped[10] = if flipped[10] == b'a' { b'b' } else { b'a' };
    assert_eq!(server.verdict(&String::from_utf8(flipped).expect("ascii")).await, pb::Verdict::Malformed);
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names_and_nothing_else() {
    let server = Server::start().await;
    let made = server.key_with(|request| request.description = "first".to_owned()).await;
    let key = made.key.expect("key");
    let rename = update(&key, &["name"], |wish| {
        wish.name = "renamed".to_owned();
        wish.description = "not named in the mask".to_owned();
    });
    let updated: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &rename).await.expect("update");
    let renamed = updated.key.expect("key");
    assert_eq!((renamed.name.as_str(), renamed.description.as_str()), ("renamed", "first"));
    assert_eq!(renamed.revision, updated.revision);
    assert_ne!(renamed.etag, key.etag);

    // Without a mask, the populated fields; output-only ones among them are passed over.
    let populated = update(&key, &[], |wish| {
        wish.description = "second".to_owned();
        wish.created_by = "somebody".to_owned();
    });
    let updated: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &populated).await.expect("update");
    let second = updated.key.expect("key");
    assert_eq!((second.name.as_str(), second.description.as_str()), ("renamed", "second"));
    assert_eq!(second.created_by, key.created_by);

    let all = update(&key, &["*"], |wish| wish.name = "replaced".to_owned());
    let updated: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &all).await.expect("update");
    let replaced = updated.key.expect("key");
    assert_eq!((replaced.description.as_str(), replaced.permissions.len()), ("", 0));

    let bad = update(&key, &["prefix", "displayName", "key.name"], |_| {});
    let status =
        server.signed::<_, pb::UpdateKeyResponse>(&server.admin, "KeyService/UpdateKey", &bad).await.unwrap_err();
    assert_eq!(violations(&status), vec!["update_mask"; 3]);
}

#[tokio::test]
async fn a_stale_etag_is_refused_and_nothing_is_written() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let first = update(&key, &["name"], |wish| {
        wish.name = "first".to_owned();
        wish.etag = key.etag.clone();
    });
    let _: pb::UpdateKeyResponse =
        server.signed(&server.admin, "KeyService/UpdateKey", &first).await.expect("fresh etag");
    let second = update(&key, &["name"], |wish| {
        wish.name = "second".to_owned();
        wish.etag = key.etag.clone();
    });
    let answer = server.signed::<_, pb::UpdateKeyResponse>(&server.admin, "KeyService/UpdateKey", &second).await;
    assert_eq!(refusal(answer), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let got: pb::GetKeyResponse = server.by_token(&server.admin, "KeyService/GetKey", &get(&key)).await.expect("get");
    assert_eq!(got.key.expect("key").name, "first");
}

#[tokio::test]
async fn a_repeated_create_never_makes_a_second_key() {
    let server = Server::start().await;
    let request = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "once".to_owned(),
        request_id: uuid(),
        ..Default::default()
    };
    let made: pb::CreateKeyResponse =
        server.signed(&server.admin, "KeyService/CreateKey", &request).await.expect("create");
    let again = server.signed::<_, pb::CreateKeyResponse>(&server.admin, "KeyService/CreateKey", &request).await;
    let status = again.as_ref().expect_err("no second key");
    let id = tonic_types::StatusExt::get_error_details(status).error_info().expect("info").metadata["key_id"].clone();
    assert_eq!(id, made.key.expect("key").key_id);
    assert_eq!(refusal(again), (Code::AlreadyExists, "SECRET_ALREADY_RETURNED".to_owned()));
    let other = pb::CreateKeyRequest { name: "other".to_owned(), ..request.clone() };
    let answer = server.signed::<_, pb::CreateKeyResponse>(&server.admin, "KeyService/CreateKey", &other).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
    assert_eq!(listed.keys.len(), 1);
}

#[tokio::test]
async fn pages_hold_every_key_once_in_the_order_of_creation() {
    let server = Server::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(server.key().await.key.expect("key").key_id);
        server.setup.clock.advance(std::time::Duration::from_millis(2));
    }
    let mut seen = Vec::new();
    let mut list = pb::ListKeysRequest { application_id: server.app.clone(), page_size: 2, ..Default::default() };
    loop {
        let page: pb::ListKeysResponse =
            server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
        seen.extend(page.keys.into_iter().map(|key| key.key_id));
        if page.next_page_token.is_empty() {
            break;
        }
        list.page_token = page.next_page_token;
    }
    assert_eq!(seen, made);
    list.name_prefix = "other".to_owned();
    let answer = server.by_token::<_, pb::ListKeysResponse>(&server.admin, "KeyService/ListKeys", &list).await;
    assert_eq!(refusal(answer).1, "PAGE_TOKEN_INVALID");
}
