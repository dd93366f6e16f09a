//! ImportKeys: keys of another system, as they are taken over, and what they are afterwards.

use std::time::Duration;

use portcullis::pb::{self, Verdict};

use crate::{
    harness::{
        Rows, Server,
        import::{IMPORT, counts, old_key, text},
        rotate::rotation_with,
        uuid,
        verify::{about, rate_limit},
        watch::from,
    },
    leaks::report,
};

#[tokio::test]
async fn keys_are_taken_over_in_one_revision_with_one_event_and_one_audit_record() {
    let server = Server::start().await;
    let before = server.rows().await;
    let answer = server.import_many(0..1000).await;
    assert_eq!(counts(&answer), (1000, 0));
    let after = server.rows().await;
    assert_eq!((after.keys, after.audits), (before.keys + 1000, before.audits + 1));
    assert_eq!((answer.revision, after.revision), (before.revision + 1, before.revision + 1));
    for number in [0, 499, 500, 999] {
        let answered = server.try_verify(&text(number)).await.expect("verify");
        assert_eq!((answered.verdict(), answered.key_id), (Verdict::Valid, answer.keys[number].key_id.clone()));
    }
    let key = server.get_key(&answer.keys[7].key_id).await;
    assert_eq!((key.name.as_str(), key.prefix.as_str(), key.revision), ("old 7", "legacy.0", answer.revision));
    assert_eq!(
        (key.state(), key.r#type(), key.environment()),
        (pb::KeyState::Active, pb::KeyType::Secret, pb::KeyEnvironment::Live)
    );
    let rows = Rows::of(&server).await;
    rows.hang_together().await;
    let audited = rows.texts("SELECT \"after\" FROM audit_event ORDER BY seq DESC LIMIT 1").await.remove(0);
    assert!(audited.contains(r#"{"import":{"dry_run":false,"existing":0,"imported":1000}}"#), "{audited:.200}");
    let audit = server.last_audit().await;
    assert_eq!((audit.method.as_str(), audit.revision), ("portcullis.v1.KeyService/ImportKeys", Some(answer.revision)));
    assert_eq!(server.told(&key).await, Vec::<String>::new(), "nobody got a key that they did not have");
    let size = rows.number("SELECT length(CAST(changes AS text)) FROM event_log ORDER BY seq DESC LIMIT 1").await;
    assert!((100_000..500_000).contains(&size), "what is the same in all keys stands there once: {size}");
    let server = server.restart().await;
    assert_eq!(server.verdict(&text(999)).await, Verdict::Valid, "as it was loaded, too");
}

#[tokio::test]
async fn all_that_a_key_may_have_is_taken_over() {
    let server = Server::start().await;
    let wish = pb::KeyToImport {
        description: "of before".to_owned(),
        r#type: pb::KeyType::Publishable.into(),
        environment: pb::KeyEnvironment::Test.into(),
        expire_time: server.ahead(3600),
        ip_allowlist: vec!["192.0.2.0/24".to_owned()],
        referrer_allowlist: vec!["https://app.example.com".to_owned()],
        resource_allowlist: vec!["files/*".to_owned()],
        rate_limits: vec![rate_limit("minute", 5, 60)],
        quotas: vec![pb::Quota { limit: 100, period: pb::QuotaPeriod::Day.into() }],
        labels: vec![pb::Label { key: "team".to_owned(), value: "a".to_owned() }],
        disabled: true,
        ..old_key(1)
    };
    let answer = server.import(vec![wish.clone(), pb::KeyToImport { permissions: Vec::new(), ..old_key(2) }]).await;
    let key = server.get_key(&answer.keys[0].key_id).await;
    let now = pb::KeyToImport {
        secret_sha256: wish.secret_sha256.clone(),
        name: key.name.clone(),
        description: key.description.clone(),
        r#type: key.r#type,
        environment: key.environment,
        prefix: key.prefix.clone(),
        permissions: key.permissions.clone(),
        expire_time: key.expire_time,
        ip_allowlist: key.ip_allowlist.clone(),
        referrer_allowlist: key.referrer_allowlist.clone(),
        resource_allowlist: key.resource_allowlist.clone(),
        rate_limits: key.rate_limits.clone(),
        quotas: key.quotas.clone(),
        labels: key.labels.clone(),
        disabled: key.disabled,
    };
    assert_eq!((now, key.state()), (wish.clone(), pb::KeyState::Disabled));
    assert_eq!(counts(&server.import(vec![wish]).await), (0, 1), "the same");
    server.update(&key, &["disabled"], pb::Key::default()).await;
    server.advance(Duration::from_secs(3601)).await;
    assert_eq!(server.get_key(&key.key_id).await.state(), pb::KeyState::Expired);
    let without = server.get_key(&answer.keys[1].key_id).await;
    assert_eq!(
        without.permissions,
        Vec::<String>::new(),
        "an admin that may grant all grants no full access by itself"
    );
}

#[tokio::test]
async fn what_is_there_already_and_the_same_counts_as_done() {
    let server = Server::start().await;
    let first = server.import_many(0..3).await;
    let again = server.import_many(0..3).await;
    assert_eq!((counts(&again), again.revision), ((0, 3), first.revision), "nothing was written");
    let ids = |answer: &pb::ImportKeysResponse| answer.keys.iter().map(|key| key.key_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&first));
    let more = server.import_many(1..5).await;
    assert_eq!((counts(&more), more.revision), ((2, 2), first.revision + 1));
    assert_eq!(more.keys.iter().map(|key| key.existed).collect::<Vec<_>>(), [true, true, false, false]);
    Rows::of(&server).await.hang_together().await;
}

#[tokio::test]
async fn a_dry_run_looks_at_all_of_it_and_imports_nothing() {
    let server = Server::start().await;
    server.import_many(0..1).await;
    let before = server.rows().await;
    let dry = pb::ImportKeysRequest { dry_run: true, ..server.import_of((0..3).map(old_key).collect()) };
    let answer = server.try_import(&server.admin, &dry).await.expect("dry run");
    assert_eq!(counts(&answer), (2, 1));
    assert_eq!(answer.keys.iter().map(|key| key.key_id.is_empty()).collect::<Vec<_>>(), [false, true, true]);
    let after = server.rows().await;
    assert_eq!((after.keys, after.revision), (before.keys, before.revision));
    let wrong = pb::KeyToImport { expire_time: server.ahead(-1), ..old_key(5) };
    let dry = pb::ImportKeysRequest { dry_run: true, ..server.import_of(vec![old_key(4), wrong]) };
    server.refuses_fields(IMPORT, &dry, &["keys[1].expire_time"]).await;
}

#[tokio::test]
async fn a_repeat_with_its_request_id_is_done_whatever_became_of_the_keys() {
    let server = Server::start().await;
    let request = pb::ImportKeysRequest { request_id: uuid(), ..server.import_of((0..3).map(old_key).collect()) };
    let first = server.try_import(&server.admin, &request).await.expect("import");
    let key = server.get_key(&first.keys[0].key_id).await;
    server.update(&key, &["name"], pb::Key { name: "another".to_owned(), ..Default::default() }).await;
    server.revoke(&server.get_key(&first.keys[1].key_id).await).await;
    let again = server.try_import(&server.admin, &request).await.expect("the same OK");
    assert_eq!(counts(&again), (0, 3));
    assert_eq!(server.verdict(&text(1)).await, Verdict::Revoked, "and stays so");
    let other = pb::ImportKeysRequest { keys: vec![old_key(9)], ..request };
    let (code, reason) = (tonic::Code::InvalidArgument, "REQUEST_ID_REUSED");
    server.refuses(&server.admin, IMPORT, &other, code, reason).await;
}

/// A caller that goes away does not know what became of its call; sent again, it is done once.
#[tokio::test]
async fn a_call_that_was_cancelled_and_is_sent_again_is_done_once() {
    let server = Server::start().await;
    for round in 0..6 {
        let numbers = round * 500..(round + 1) * 500;
        let request = server.import_of(numbers.clone().map(old_key).collect());
        let patience = Duration::from_millis(2 << round);
        let gone = tokio::time::timeout(patience, server.try_import(&server.admin, &request)).await;
        println!("after {patience:?} it was {}", if gone.is_ok() { "done" } else { "given up" });
        let (imported, existing) = counts(&server.import_many(numbers).await);
        assert_eq!(imported + existing, 500);
        assert_eq!(server.rows().await.keys, (round as i64 + 1) * 500);
    }
    Rows::of(&server).await.hang_together().await;
}

#[tokio::test]
async fn an_imported_key_is_updated_limited_counted_rotated_and_revoked_as_any_other() {
    let server = Server::start().await;
    let limited = pb::KeyToImport { rate_limits: vec![rate_limit("minute", 2, 60)], ..old_key(1) };
    let answer = server.import(vec![limited, old_key(2)]).await;
    let [first, second] = [&answer.keys[0], &answer.keys[1]].map(|key| key.key_id.clone());
    assert_eq!(server.remaining(&text(1)).await, [("minute".to_owned(), 2)]);
    assert_eq!([server.verdict(&text(1)).await, server.verdict(&text(1)).await], [Verdict::Valid; 2]);
    assert_eq!(server.verdict(&text(1)).await, Verdict::RateLimited);
    server.flush().await;
    assert_eq!(server.get_key(&first).await.usage.expect("usage").requests_today, 3);

    let key = server.get_key(&second).await;
    server
        .update(&key, &["permissions"], pb::Key { permissions: vec!["other:read".to_owned()], ..Default::default() })
        .await;
    assert_eq!(server.verdict(&text(2)).await, Verdict::PermissionMissing);
    server
        .update(&key, &["permissions"], pb::Key { permissions: vec!["tasks:read".to_owned()], ..Default::default() })
        .await;

    let pair = server.rotate_with(&rotation_with(&key, 3600)).await;
    assert!(pair.secret.starts_with("sk_live_"), "one of our own form");
    assert_eq!([server.verdict(&text(2)).await, server.verdict(&pair.secret).await], [Verdict::Valid; 2]);
    let told = server.try_verify(&text(2)).await.expect("verify");
    assert_eq!(told.superseded_by, pair.new.key_id);
    server.advance(Duration::from_secs(3600)).await;
    assert_eq!(server.verdict(&text(2)).await, Verdict::Revoked);

    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    server.revoke(&server.get_key(&first).await).await;
    assert_eq!(server.verdict(&text(1)).await, Verdict::Revoked);
    let (mut revocation, _) = watch.revocation().await;
    // The end of the other one may be written down after the watch began.
    if revocation.key_id == second {
        revocation = watch.revocation().await.0;
    }
    assert_eq!((revocation.key_id, revocation.secret_sha256), (first, old_key(1).secret_sha256));
}

/// An import takes nothing away: watchers hear nothing of it, and their bookmarks go on.
#[tokio::test]
async fn watchers_hear_of_no_import_and_of_all_that_comes_after_it() {
    let server = Server::start().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let (_, token) = watch.bookmark().await;
    let mut last = None;
    for round in 0..5 {
        last = Some(server.import_many(round * 1000..(round + 1) * 1000).await);
    }
    let last = last.expect("an import");
    assert_eq!(watch.up_to(last.revision).await.len(), 0);
    let key = server.get_key(&last.keys[0].key_id).await;
    let revoked = server.revoke(&key).await;
    // From before the imports on, out of the log: memory has forgotten them in a new server.
    let server = server.restart().await;
    let mut watch = server.watch(&server.admin, &from(&token)).await.expect("watch");
    let told = watch.up_to(revoked.revision).await;
    assert_eq!(told.iter().map(|told| told.key_id.as_str()).collect::<Vec<_>>(), [key.key_id.as_str()]);
}

#[tokio::test]
async fn a_leak_of_an_imported_key_is_dealt_with() {
    let server = Server::start().await;
    server.leak_policy(pb::LeakPolicy::Revoke).await;
    server.import_many(0..1).await;
    let stranger = server.stranger(1).await;
    let source = format!("found {} in a log", text(0));
    let request = pb::ReportLeakedKeyRequest { source, ..report(&text(0)) };
    let _: pb::ReportLeakedKeyResponse =
        server.signed(&stranger, crate::leaks::METHOD, &request).await.expect("report");
    assert_eq!(server.verdict(&text(0)).await, Verdict::Revoked);
    let written = server.data.written().await;
    let holds = written.windows(text(0).len()).any(|bytes| bytes == text(0).as_bytes());
    assert!(!holds, "the text is nowhere");
}

#[tokio::test]
async fn a_verifier_may_keep_an_answer_about_an_imported_key() {
    let server = Server::start().await;
    let ttl = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    server.choose(&["max_cache_ttl"], pb::Application { max_cache_ttl: ttl, ..Default::default() }).await;
    server.import_many(0..1).await;
    let answer = server.ask(&server.admin, &about(&text(0))).await.expect("verify");
    assert!(answer.cache_ttl.is_some());
}
