//! Rotation: what a successor is, and what becomes of the key before it.

use portcullis::pb::{self, KeyState, RevocationCause, RevokeReason, Verdict};

use crate::{
    fields::label,
    harness::{
        Rows, Server,
        limits::quota,
        mask,
        rotate::{HOUR, rotation, rotation_with},
        times::seconds,
        upkeep::uncounted,
        verify::{about, rate_limit, ttl},
        watch::from,
    },
};

/// What of a key is its settings: the rest is its own.
fn settings(key: &pb::Key) -> pb::Key {
    pb::Key {
        key_id: String::new(),
        prefix: String::new(),
        create_time: None,
        update_time: None,
        created_by: String::new(),
        rotated_from: String::new(),
        rotated_to: String::new(),
        overlap_end_time: None,
        next_rotation_time: None,
        revision: 0,
        etag: String::new(),
        ..key.clone()
    }
}

#[tokio::test]
async fn a_successor_has_the_same_settings_and_its_own_secret_and_both_say_so() {
    let server = Server::start().await;
    let made = server
        .key_with(|request| {
            request.name = "mine".to_owned();
            request.description = "what for".to_owned();
            request.environment = pb::KeyEnvironment::Test.into();
            request.r#type = pb::KeyType::Publishable.into();
            request.ip_allowlist = vec!["192.0.2.0/24".to_owned()];
            request.referrer_allowlist = vec!["*.example.com".to_owned()];
            request.resource_allowlist = vec!["files/*".to_owned()];
            request.rate_limits = vec![rate_limit("minute", 10, 60)];
            request.quotas = vec![quota(100, pb::QuotaPeriod::Month)];
            request.labels = vec![label("team", "a")];
            request.expiration = ttl(1000 * HOUR);
            request.auto_renew = true;
            request.rotation_period = seconds(240 * HOUR);
        })
        .await;
    let first = made.key.expect("key");
    server.advance(std::time::Duration::from_hours(10)).await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:*"]).await;
    let told = server.try_rotate(&editor, &rotation(&first)).await.expect("rotate");
    let (new, old) = (told.key.expect("key"), told.rotated_key.expect("key"));
    assert_eq!(settings(&new), settings(&first));
    assert_eq!(settings(&old), settings(&first));
    assert_eq!((new.rotated_from.as_str(), new.rotated_to.as_str()), (first.key_id.as_str(), ""));
    assert_eq!((old.rotated_from.as_str(), old.rotated_to.as_str()), ("", new.key_id.as_str()));
    assert_eq!(old.overlap_end_time, server.ahead(48 * HOUR), "unless somebody wants another overlap");
    assert_eq!((new.overlap_end_time, new.created_by.clone()), (None, editor.account_id));
    assert_eq!((new.create_time, new.revision, old.revision), (server.ahead(0), told.revision, told.revision));
    assert_eq!((new.next_rotation_time, old.next_rotation_time), (server.ahead(240 * HOUR), None));
    assert!(told.secret.starts_with(&new.prefix) && told.secret != made.secret && new.prefix != old.prefix);
    assert_eq!([server.get_key(&new.key_id).await, server.get_key(&old.key_id).await], [new, old]);
    Rows::of(&server).await.are_whole().await;
}

#[tokio::test]
async fn both_are_good_until_the_overlap_is_over_and_the_old_one_names_its_successor() {
    let server = Server::start().await;
    let made = server.key().await;
    let before = server.try_verify(&made.secret).await.expect("verify");
    assert_eq!(before.superseded_by, "");
    let pair = server.rotate(&made.key.expect("key"), HOUR).await;
    for _ in 0..2 {
        let [old, new] = [&made.secret, &pair.secret].map(|secret| server.try_verify(secret));
        let (old, new) = (old.await.expect("verify"), new.await.expect("verify"));
        assert_eq!([old.verdict(), new.verdict()], [Verdict::Valid; 2]);
        assert_eq!((&old.superseded_by, new.superseded_by.as_str()), (&pair.new.key_id, ""));
        server.advance(std::time::Duration::from_secs(3599)).await;
    }
    server.advance(std::time::Duration::from_secs(2)).await;
    let old = server.try_verify(&made.secret).await.expect("verify");
    assert_eq!((old.verdict(), old.superseded_by), (Verdict::Revoked, pair.new.key_id.clone()));
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Valid);
    let refused = pb::VerifyKeyRequest { required_permissions: vec!["a:b".to_owned()], ..about(&pair.secret) };
    assert_eq!(server.ask(&server.admin, &refused).await.expect("verify").superseded_by, "");
}

#[tokio::test]
async fn without_an_overlap_the_old_key_ends_at_once_and_watchers_hear_rotated() {
    let server = Server::start().await;
    let made = server.key().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let pair = server.rotate(&made.key.expect("key"), 0).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Revoked);
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Valid);
    let (told, _) = watch.revocation().await;
    assert_eq!((&told.key_id, told.cause()), (&pair.old.key_id, RevocationCause::Rotated));
    assert_eq!(told.revision, pair.revision, "both are one mutation");
    assert_eq!((pair.old.state(), pair.old.revoke_reason()), (KeyState::Revoked, RevokeReason::Superseded));
    assert_eq!((pair.old.revoke_time, pair.old.overlap_end_time), (server.ahead(0), server.ahead(0)));
    let rows = Rows::of(&server).await;
    // That the old one was used all the same is told by and by.
    let notices = rows.texts("SELECT kind FROM notice WHERE kind <> 'key.suspicious' ORDER BY seq").await;
    assert_eq!(notices, ["key.created", "key.rotated"], "and no key.revoked");
    let server = server.restart().await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Revoked);
    assert_eq!(server.try_verify(&made.secret).await.expect("verify").superseded_by, pair.new.key_id);
}

#[tokio::test]
async fn a_rotation_with_an_overlap_tells_watchers_to_drop_what_they_keep() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let pair = server.rotate(&key, HOUR).await;
    let (told, _) = watch.revocation().await;
    assert_eq!((&told.key_id, told.cause()), (&key.key_id, RevocationCause::Narrowed));
    let end = server.revoke(&pair.new).await;
    let (told, _) = watch.revocation().await;
    assert_eq!((told.key_id, told.revision), (pair.new.key_id, end.revision), "nothing was told of the successor");
}

#[tokio::test]
async fn the_overlap_is_the_applications_unless_the_call_names_one_and_ends_with_the_key() {
    let server = Server::start().await;
    let wish = pb::Application { application_id: server.app.clone(), overlap: seconds(HOUR), ..Default::default() };
    let update = pb::UpdateApplicationRequest { application: Some(wish), update_mask: mask(&["overlap"]) };
    let _: pb::UpdateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/UpdateApplication", &update).await.expect("update");
    let key = async || server.key().await.key.expect("key");
    let of_application = server.rotate_with(&rotation(&key().await)).await;
    assert_eq!(of_application.old.overlap_end_time, server.ahead(HOUR));
    let longest = server.rotate(&key().await, 365 * 24 * HOUR).await;
    assert_eq!(longest.old.overlap_end_time, server.ahead(365 * 24 * HOUR));
    let short = server.key_with(|request| request.expiration = ttl(60)).await;
    let pair = server.rotate(&short.key.expect("key"), HOUR).await;
    assert_eq!(pair.old.overlap_end_time, pair.old.expire_time, "not beyond its own end");
    assert_eq!(pair.new.expire_time, pair.old.expire_time);
    server.advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(server.verdict(&short.secret).await, Verdict::Revoked);
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Expired);
}

#[tokio::test]
async fn a_successor_may_be_given_another_expiration() {
    let server = Server::start().await;
    use pb::rotate_key_request::Expiration;
    for expiration in [
        Expiration::Ttl(prost_types::Duration { seconds: 500, nanos: 0 }),
        Expiration::ExpireTime(server.ahead(500).expect("a moment")),
    ] {
        let key = server.key_with(|request| request.expiration = ttl(60)).await.key.expect("key");
        let request = pb::RotateKeyRequest { expiration: Some(expiration), ..rotation(&key) };
        let pair = server.rotate_with(&request).await;
        assert_eq!((pair.old.expire_time, pair.new.expire_time), (key.expire_time, server.ahead(500)));
    }
    let key = server.key().await.key.expect("key");
    let expiration = Some(Expiration::Ttl(prost_types::Duration { seconds: 1, nanos: 0 }));
    let pair = server.rotate_with(&pb::RotateKeyRequest { expiration, ..rotation(&key) }).await;
    assert_eq!((pair.old.expire_time, pair.new.expire_time), (None, server.ahead(1)), "a shorter one too");
}

#[tokio::test]
async fn three_keys_of_a_chain_are_good_at_once_and_each_ends_in_its_time() {
    let server = Server::start().await;
    let first = server.key().await;
    let one = server.rotate(first.key.as_ref().expect("key"), 2 * HOUR).await;
    let two = server.rotate(&one.new, HOUR).await;
    let secrets = [&first.secret, &one.secret, &two.secret];
    let verdicts =
        async || [server.verdict(secrets[0]).await, server.verdict(secrets[1]).await, server.verdict(secrets[2]).await];
    assert_eq!(verdicts().await, [Verdict::Valid; 3]);
    let middle = server.get_key(&one.new.key_id).await;
    assert_eq!((middle.rotated_from, middle.rotated_to), (one.old.key_id, two.new.key_id.clone()));
    server.advance(std::time::Duration::from_hours(1)).await;
    assert_eq!(verdicts().await, [Verdict::Valid, Verdict::Revoked, Verdict::Valid], "each has its own overlap");
    server.advance(std::time::Duration::from_hours(1)).await;
    assert_eq!(verdicts().await, [Verdict::Revoked, Verdict::Revoked, Verdict::Valid]);
}

#[tokio::test]
async fn revoking_a_successor_leaves_the_overlap_of_the_old_key_alone() {
    let server = Server::start().await;
    let made = server.key().await;
    let pair = server.rotate(&made.key.expect("key"), HOUR).await;
    server.revoke(&pair.new).await;
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Revoked);
    assert_eq!(server.verdict(&made.secret).await, Verdict::Valid);
    assert_eq!(uncounted(server.get_key(&pair.old.key_id).await), uncounted(pair.old));
    server.advance(std::time::Duration::from_hours(1)).await;
    assert_eq!(server.verdict(&made.secret).await, Verdict::Revoked);
}

#[tokio::test]
async fn revoking_the_old_key_in_its_overlap_is_a_revocation_like_any_other() {
    let server = Server::start().await;
    let made = server.key().await;
    let pair = server.rotate(&made.key.expect("key"), HOUR).await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let request = pb::RevokeKeyRequest {
        application_id: server.app.clone(),
        key_id: pair.old.key_id.clone(),
        reason: RevokeReason::Leaked.into(),
        ..Default::default()
    };
    let told: pb::RevokeKeyResponse =
        server.signed(&server.admin, "KeyService/RevokeKey", &request).await.expect("revoke");
    assert_eq!(told.key.expect("key").revoke_reason(), RevokeReason::Leaked);
    assert_eq!(watch.revocation().await.0.cause(), RevocationCause::Revoked);
    assert_eq!(server.verdict(&made.secret).await, Verdict::Revoked);
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Valid);
}

#[tokio::test]
async fn a_disabled_keys_successor_is_disabled_too() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    server.update(&key, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
    let pair = server.rotate(&key, HOUR).await;
    assert_eq!((pair.old.state(), pair.new.state()), (KeyState::Disabled, KeyState::Disabled));
    server.update(&pair.new, &["disabled"], pb::Key::default()).await;
    assert_eq!(server.verdict(&pair.secret).await, Verdict::Valid);
    assert_eq!(server.get_key(&key.key_id).await.state(), KeyState::Disabled, "each for itself");
}

#[tokio::test]
async fn after_a_lost_answer_the_successor_is_rotated_with_no_overlap() {
    let server = Server::start().await;
    let made = server.key().await;
    let key = made.key.expect("key");
    let lost = server.rotate(&key, HOUR).await;
    let again = server.try_rotate(&server.admin, &rotation_with(&key, HOUR)).await.expect_err("rotated");
    let details = tonic_types::StatusExt::get_error_details(&again);
    let newest = &details.error_info().expect("info").metadata["key_id"];
    assert_eq!(*newest, lost.new.key_id);
    let found = server.rotate(&server.get_key(newest).await, 0).await;
    assert_eq!(server.verdict(&lost.secret).await, Verdict::Revoked, "nobody has it");
    assert_eq!(server.verdict(&made.secret).await, Verdict::Valid, "and callers go on with the old one");
    assert_eq!(server.verdict(&found.secret).await, Verdict::Valid);
}
