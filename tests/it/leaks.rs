//! ReportLeakedKey: what follows is the application's choice, and whoever reports learns
//! nothing.

use std::time::Duration;

use portcullis::pb;
use tonic::Code;

use crate::harness::{
    Persona, Rows, Server, Setup, reason, refusal,
    upkeep::uncounted,
    verify::{about, ttl},
    violations,
    watch::from,
};

pub(crate) const METHOD: &str = "KeyService/ReportLeakedKey";

pub(crate) fn report(secret: &str) -> pb::ReportLeakedKeyRequest {
    pb::ReportLeakedKeyRequest { secret: secret.to_owned(), source: "https://example.com/log".to_owned(), wait: 0 }
}

impl Server {
    pub(crate) async fn leaked(&self, by: &Persona, secret: &str) {
        let _: pb::ReportLeakedKeyResponse = self.signed(by, METHOD, &report(secret)).await.expect("report");
    }

    pub(crate) async fn leak_policy(&self, policy: pb::LeakPolicy) {
        self.choose(&["leak_policy"], pb::Application { leak_policy: policy.into(), ..Default::default() }).await;
    }

    pub(crate) async fn as_it_is(&self, key: &pb::Key) -> pb::Key {
        uncounted(self.get_key(&key.key_id).await)
    }

    /// Somebody with an account, and nothing else.
    pub(crate) async fn stranger(&self, key: usize) -> Persona {
        let account = pb::ServiceAccount { name: "scanner".to_owned(), ..Default::default() };
        self.admin.hire(self, key, account).await
    }
}

/// Well-formed, and nobody's.
pub(crate) const NOBODYS: &str = "sk_live_00000000000000000000000000000000000000000001Vxh1Z";

#[tokio::test]
async fn what_follows_a_leak_is_the_application_s_choice_and_told_once_a_day() {
    for (policy, state, action, verdict) in [
        (pb::LeakPolicy::Alert, pb::KeyState::Active, "alert", pb::Verdict::Valid),
        (pb::LeakPolicy::Disable, pb::KeyState::Disabled, "disable", pb::Verdict::Disabled),
        (pb::LeakPolicy::Revoke, pb::KeyState::Revoked, "revoke", pb::Verdict::Revoked),
    ] {
        let server = Server::start().await;
        server.leak_policy(policy).await;
        let stranger = server.stranger(1).await;
        let made = server.key().await;
        server.leaked(&stranger, &format!("  {}\n", made.secret)).await;
        assert_eq!(server.verdict(&made.secret).await, verdict, "{policy:?}");
        let first = server.as_it_is(made.key.as_ref().expect("key")).await;
        assert_eq!(first.state(), state, "{policy:?}");
        server.leaked(&stranger, &made.secret).await;
        assert_eq!(server.as_it_is(&first).await, first, "a repeat changes nothing");
        let told = server.notices("key.leaked").await;
        assert_eq!(told.len(), 1, "{policy:?}");
        assert_eq!((&told[0]["action"], &told[0]["source"]), (&action.into(), &"https://example.com/log".into()));
        assert_eq!(told[0]["key"]["key_id"], first.key_id);
        let changed = match policy {
            pb::LeakPolicy::Disable => ["created", "leaked", "updated"].as_slice(),
            pb::LeakPolicy::Revoke => &["created", "leaked", "revoked"],
            _ => &["created", "leaked"],
        };
        assert_eq!(server.told(&first).await, changed, "{policy:?}: who hears of changes alone hears of it, too");
        server.advance(Duration::from_hours(24)).await;
        server.leaked(&stranger, &made.secret).await;
        let again = if policy == pb::LeakPolicy::Revoke { 1 } else { 2 };
        assert_eq!(
            server.notices("key.leaked").await.len(),
            again,
            "{policy:?}: of a key that is over nothing follows"
        );
        if policy == pb::LeakPolicy::Revoke {
            assert_eq!(
                (first.revoke_reason(), &*first.revoke_comment),
                (pb::RevokeReason::Leaked, &*report("").source)
            );
            let told = &server.notices("key.revoked").await[0];
            assert_eq!((&told["reason"], &told["comment"]), (&"leaked".into(), &first.revoke_comment.as_str().into()));
        }
        Rows::of(&server).await.are_whole().await;
    }
}

#[tokio::test]
async fn a_key_that_is_enabled_and_reported_again_is_not_disabled_in_silence() {
    let server = Server::start().await;
    server.leak_policy(pb::LeakPolicy::Disable).await;
    let made = server.key().await;
    let key = made.key.expect("key");
    server.leaked(&server.admin, &made.secret).await;
    server.update(&key, &["disabled"], pb::Key::default()).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
    server.leaked(&server.admin, &made.secret).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Disabled);
    assert_eq!(server.told(&key).await, ["created", "leaked", "updated", "updated", "leaked", "updated"]);
    assert_eq!(server.notices("key.updated").await[2]["fields"], serde_json::json!(["disabled"]));
    server.leaked(&server.admin, &made.secret).await;
    assert_eq!(server.notices("key.leaked").await.len(), 2, "where it changes nothing, it is told once a day");
}

#[tokio::test]
async fn keys_that_are_expired_or_disabled_are_dealt_with_and_revoked_ones_stay_as_they_are() {
    for (policy, expired, disabled) in [
        (pb::LeakPolicy::Alert, pb::KeyState::Expired, pb::KeyState::Disabled),
        (pb::LeakPolicy::Disable, pb::KeyState::Expired, pb::KeyState::Disabled),
        (pb::LeakPolicy::Revoke, pb::KeyState::Revoked, pb::KeyState::Revoked),
    ] {
        let server = Server::start().await;
        server.leak_policy(policy).await;
        let keys =
            [server.key_with(|request| request.expiration = ttl(5)).await, server.key().await, server.key().await];
        let [old, off, over] = keys.each_ref().map(|made| made.key.clone().expect("key"));
        server.update(&off, &["disabled"], pb::Key { disabled: true, ..Default::default() }).await;
        let over = server.revoke(&over).await.key.expect("key");
        server.advance(Duration::from_secs(6)).await;
        for made in &keys {
            server.leaked(&server.admin, &made.secret).await;
        }
        assert_eq!(server.as_it_is(&old).await.state(), expired, "{policy:?}");
        assert_eq!(server.as_it_is(&old).await.disabled, policy == pb::LeakPolicy::Disable);
        assert_eq!(server.as_it_is(&off).await.state(), disabled, "{policy:?}");
        assert_eq!(server.as_it_is(&over).await, over, "its reason stays");
        assert_eq!(server.notices("key.leaked").await.len(), 2, "{policy:?}");
    }
}

/// The promise behind the guard `Leak`.
#[tokio::test]
async fn a_publishable_key_cannot_leak() {
    let server = Server::start().await;
    server.leak_policy(pb::LeakPolicy::Revoke).await;
    let made = server.key_with(|request| {
        request.r#type = pb::KeyType::Publishable.into();
        request.ip_allowlist = vec!["192.0.2.0/24".to_owned()];
    });
    let made = made.await;
    server.leaked(&server.admin, &made.secret).await;
    assert_eq!(server.verdict_from(&made.secret, "192.0.2.1").await, pb::Verdict::Valid);
    assert_eq!(server.notices("key.leaked").await.len(), 0);
    let rows = Rows::of(&server).await;
    let audited = rows.texts("SELECT \"after\" FROM audit_event WHERE method LIKE '%/ReportLeakedKey'").await;
    assert!(audited[0].contains(&made.key.expect("key").key_id), "the audit knows: {audited:?}");
}

#[tokio::test]
async fn watchers_hear_of_it() {
    let server = Server::start().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    for (policy, cause) in [
        (pb::LeakPolicy::Disable, pb::RevocationCause::Disabled),
        (pb::LeakPolicy::Revoke, pb::RevocationCause::Revoked),
    ] {
        server.leak_policy(policy).await;
        let made = server.key().await;
        server.leaked(&server.admin, NOBODYS).await;
        server.leaked(&server.admin, &made.secret).await;
        let (revocation, _) = watch.revocation().await;
        assert_eq!((revocation.key_id.as_str(), revocation.cause()), (&*made.key.expect("key").key_id, cause));
    }
}

#[tokio::test]
async fn after_a_report_no_call_is_answered_valid() {
    let server = Server::start_with(Setup::deaf(Duration::from_secs(1))).await;
    for (policy, verdict) in
        [(pb::LeakPolicy::Disable, pb::Verdict::Disabled), (pb::LeakPolicy::Revoke, pb::Verdict::Revoked)]
    {
        server.leak_policy(policy).await;
        let made = server.key().await;
        assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Valid);
        server.leaked(&server.admin, &made.secret).await;
        assert_eq!(server.verdict(&made.secret).await, verdict);
    }
}

#[tokio::test]
async fn ten_a_minute_and_then_it_says_when_to_go_on() {
    let server = Server::start().await;
    let stranger = server.stranger(1).await;
    let one = report(NOBODYS);
    let one_more = async |by: &Persona| server.signed::<_, pb::ReportLeakedKeyResponse>(by, METHOD, &one).await;
    for _ in 0..10 {
        one_more(&stranger).await.expect("within the limit");
    }
    let status = one_more(&stranger).await.expect_err("the eleventh");
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(details.retry_info().and_then(|info| info.retry_delay), Some(Duration::from_secs(6)));
    one_more(&server.admin).await.expect("another account");
    server.advance(Duration::from_secs(6)).await;
    one_more(&stranger).await.expect("after as long as it said");
}

#[tokio::test]
async fn what_is_wrong_with_a_report_is_told_without_a_look_at_the_text() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    let wrong = |secret: &str, source: &str, wait: i32| pb::ReportLeakedKeyRequest {
        secret: secret.to_owned(),
        source: source.to_owned(),
        wait,
    };
    for (request, fields) in [
        (wrong("", "", 0), vec!["secret"]),
        (wrong(" \n", "", 99), vec!["secret", "wait"]),
        (wrong(&secret, &"s".repeat(1025), 0), vec!["source"]),
        (wrong(NOBODYS, &"s".repeat(1025), 0), vec!["source"]),
        (wrong(NOBODYS, "\u{202e}", 0), vec!["source"]),
    ] {
        let status = server.signed::<_, pb::ReportLeakedKeyResponse>(&server.admin, METHOD, &request).await;
        let status = status.expect_err("wrong");
        let mut told = violations(&status);
        told.sort();
        assert_eq!(told, fields);
    }
    let long = wrong(&secret, &"é".repeat(1024), 0);
    let _: pb::ReportLeakedKeyResponse =
        server.signed(&server.admin, METHOD, &long).await.expect("as long as it may be");
    assert_eq!(
        refusal(server.by_token::<_, pb::ReportLeakedKeyResponse>(&server.admin, METHOD, &long).await).1,
        "SIGNATURE_MISSING"
    );
}

/// Whoever quotes the line that a key stood in sends it twice.
#[tokio::test]
async fn neither_audit_nor_notices_nor_the_key_hold_the_text_though_its_source_does() {
    let server = Server::start().await;
    server.leak_policy(pb::LeakPolicy::Revoke).await;
    let (made, other) = (server.key().await, server.key().await);
    let source = format!("line 7: KEY={} OTHER={}", made.secret, other.secret);
    let request = pb::ReportLeakedKeyRequest { secret: made.secret.clone(), source, wait: 0 };
    let _: pb::ReportLeakedKeyResponse = server.signed(&server.admin, METHOD, &request).await.expect("report");
    let shown = "line 7: KEY=[redacted] OTHER=sk_[redacted]";
    assert_eq!(server.notices("key.leaked").await[0]["source"], shown);
    let key = server.as_it_is(made.key.as_ref().expect("key")).await;
    assert_eq!(key.revoke_comment, shown);
    let rows = Rows::of(&server).await;
    let audited = rows.texts("SELECT \"after\" FROM audit_event WHERE method LIKE '%/ReportLeakedKey'").await.remove(0);
    assert!(audited.contains(shown) && audited.contains(&key.key_id) && audited.contains("\"action\":\"revoke\""));
    assert!(
        !audited.contains("sha256") && !audited.contains(&made.secret[14..]) && !audited.contains(&other.secret[14..])
    );
    assert_eq!(server.verdict_on(&about(&other.secret)).await, pb::Verdict::Valid, "what is quoted is not reported");
}
