//! What verifiers may keep, and who waits for it: `max_cache_ttl`, `cache_ttl`, `wait`.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use portcullis::{clock::Clock, pb};
use tokio::time::{Instant, timeout};
use tonic::Status;

use crate::{
    concurrency::while_ringing,
    consistency::{SOON, ask, create_unconfirmed, revoke, verify, verify_from},
    harness::{Rows, Server, Setup, mask, until, verify::update},
    sweep::CHECK,
};

fn span(length: Duration) -> prost_types::Duration {
    length.try_into().expect("a duration")
}

/// Lets verifiers keep what they are told about the application's keys.
pub(crate) async fn let_cache(server: &Server, most: Duration) -> i64 {
    let wish =
        pb::Application { application_id: server.app.clone(), max_cache_ttl: Some(span(most)), ..Default::default() };
    let request = pb::UpdateApplicationRequest { application: Some(wish), update_mask: mask(&["max_cache_ttl"]) };
    let updated: pb::UpdateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/UpdateApplication", &request).await.expect("update");
    updated.revision
}

pub(crate) async fn cache_ttl(server: &Server, secret: &str) -> Option<Duration> {
    let answer = verify(server, &ask(secret)).await.expect("verify");
    assert_eq!(answer.verdict(), pb::Verdict::Valid);
    answer.cache_ttl.map(|ttl| ttl.try_into().expect("not negative"))
}

/// Waits until the replica answers by a revocation, and is told nothing to keep meanwhile.
pub(crate) async fn until_applied(server: &Server, secret: &str) {
    let request = pb::VerifyKeyRequest { dry_run: true, ..ask(secret) };
    let is_applied = async || server.verdict_on(&request).await != pb::Verdict::Valid;
    until("the replica answers by the revocation", is_applied).await;
}

/// A revocation that waits for everybody, in a task of its own.
pub(crate) fn revoking(
    server: &Arc<Server>,
    key: &pb::Key,
) -> tokio::task::JoinHandle<Result<pb::RevokeKeyResponse, Status>> {
    let (server, key) = (Arc::clone(server), key.clone());
    tokio::spawn(async move { revoke(&server, &key, pb::RevokeWait::Everywhere).await })
}

/// Some turns of the quick loop.
const TURNS: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_valid_may_be_kept_as_long_as_application_lease_and_key_allow() {
    let server = Server::start_with(Setup::held()).await;
    let set = while_ringing(&server, let_cache(&server, Duration::from_millis(1500))).await;
    let made = create_unconfirmed(&server).await;
    verify_from(&server, &made.secret, made.revision.max(set)).await.expect("applied");
    let kept = |secret: &str| {
        let (server, secret) = (&server, secret.to_owned());
        async move { cache_ttl(server, &secret).await }
    };
    assert_eq!(kept(&made.secret).await, Some(Duration::from_millis(1500)), "as long as the application lets it");
    server.at_rest().await;
    // The loop is held, the clock stands still: the lease of 10 s is what was moved less than that.
    server.setup.clock.advance(Duration::from_millis(9_250));
    assert_eq!(kept(&made.secret).await, Some(Duration::from_millis(750)), "the rest of the lease");
    server.advance(Duration::from_millis(1)).await;
    assert_eq!(kept(&made.secret).await, Some(Duration::from_millis(1500)), "the lease is renewed");

    let short = pb::create_key_request::Expiration::Ttl(span(Duration::from_secs(2)));
    let short = server
        .key_with(|request| {
            request.expiration = Some(short);
            request.wait = pb::RevokeWait::None.into();
        })
        .await;
    verify_from(&server, &short.secret, short.revision).await.expect("applied");
    assert_eq!(kept(&short.secret).await, Some(Duration::from_millis(1500)));
    server.setup.clock.advance(Duration::from_millis(1400));
    assert_eq!(kept(&short.secret).await, Some(Duration::from_millis(600)), "until the key expires");
    server.setup.clock.advance(Duration::from_micros(599_001));
    assert_eq!(kept(&short.secret).await, None, "less than a millisecond is not worth keeping");
}

#[tokio::test]
async fn nothing_else_may_be_kept() {
    let server = Server::start().await;
    let made = server.key().await;
    assert_eq!(cache_ttl(&server, &made.secret).await, None, "unless the application lets it");
    let_cache(&server, Duration::from_secs(60)).await;
    assert_eq!(cache_ttl(&server, &made.secret).await, Some(Duration::from_secs(10)));

    let limit = pb::RateLimit { name: "minute".to_owned(), limit: 10, window: Some(span(Duration::from_secs(60))) };
    let limited = server.key_with(|request| request.rate_limits = vec![limit]).await;
    let quota = pb::Quota { limit: 10, period: pb::QuotaPeriod::Day.into() };
    let with_quota = server.key_with(|request| request.quotas = vec![quota]).await;
    for limited in [&limited, &with_quota] {
        assert_eq!(cache_ttl(&server, &limited.secret).await, None, "what is kept spends nothing");
    }
    let dry = pb::VerifyKeyRequest { dry_run: true, ..ask(&made.secret) };
    let refused = [
        pb::VerifyKeyRequest { environment: pb::KeyEnvironment::Test.into(), ..ask(&made.secret) },
        pb::VerifyKeyRequest { required_permissions: vec!["tasks:write".to_owned()], ..ask(&made.secret) },
        ask("sk_live_nonsense"),
        ask("sk_live_00000000000000000000000000000000000000000001Vxh1Z"),
    ];
    let dry_run = verify(&server, &dry).await.expect("verify");
    assert_eq!(
        (dry_run.verdict(), dry_run.cache_ttl),
        (pb::Verdict::Valid, None),
        "a dry run is no answer to a caller"
    );
    for request in refused {
        let answer = verify(&server, &request).await.expect("verify");
        assert_ne!(answer.verdict(), pb::Verdict::Valid);
        assert_eq!(answer.cache_ttl, None, "{:?} is asked again each time", answer.verdict());
    }
}

#[tokio::test]
async fn a_plan_with_limits_lets_nothing_be_kept() {
    let server = Server::start().await;
    let_cache(&server, Duration::from_secs(5)).await;
    server.choose(&["plan"], pb::Application { plan: pb::Plan::Free.into(), ..Default::default() }).await;
    let made = server.key().await;
    assert_eq!(cache_ttl(&server, &made.secret).await, None);
}

#[tokio::test]
async fn a_revocation_everywhere_waits_for_what_was_handed_out() {
    let server = Arc::new(Server::start_with(Setup::brisk()).await);
    let_cache(&server, Duration::from_secs(2)).await;
    let made = server.key().await;
    let key = made.key.expect("key");
    assert_eq!(cache_ttl(&server, &made.secret).await, Some(Duration::from_secs(2)));
    let mut everywhere = revoking(&server, &key);
    until_applied(&server, &made.secret).await;
    let replicas = timeout(SOON, revoke(&server, &key, pb::RevokeWait::Replicas)).await.expect("at once");
    let replicas = replicas.expect("every replica answers by it");
    assert!(timeout(TURNS, &mut everywhere).await.is_err(), "a verifier may still answer VALID");
    server.setup.clock.advance(Duration::from_millis(2_090));
    assert!(timeout(TURNS, &mut everywhere).await.is_err(), "for 2 seconds, which its clock may take for longer");
    server.setup.clock.advance(Duration::from_millis(100));
    let everywhere = timeout(SOON, everywhere).await.expect("then it is over").expect("task").expect("revoke");
    assert_eq!(everywhere.revision, replicas.revision);
}

#[tokio::test]
async fn a_change_to_a_key_waits_also_for_what_an_earlier_one_has_yet_to_take_away() {
    let server = Arc::new(Server::start_with(Setup::brisk()).await);
    let_cache(&server, Duration::from_secs(2)).await;
    let made = server.key().await;
    let key = made.key.expect("key");
    assert_eq!(cache_ttl(&server, &made.secret).await, Some(Duration::from_secs(2)));
    let disable = |description: &str, wait: pb::RevokeWait| {
        let wish = pb::Key { disabled: true, description: description.to_owned(), ..Default::default() };
        pb::UpdateKeyRequest { wait: wait.into(), ..update(&key, &["disabled", "description"], wish) }
    };
    let first = disable("", pb::RevokeWait::Replicas);
    let _: pb::UpdateKeyResponse = server.signed(&server.admin, "KeyService/UpdateKey", &first).await.expect("update");
    // Not a repeat: it changes one thing more, and takes nothing away by itself.
    let second = disable("why", pb::RevokeWait::Everywhere);
    let changing = Arc::clone(&server);
    let mut everywhere = tokio::spawn(async move {
        changing.signed::<_, pb::UpdateKeyResponse>(&changing.admin, "KeyService/UpdateKey", &second).await
    });
    assert!(timeout(TURNS, &mut everywhere).await.is_err(), "a verifier may still answer VALID");
    server.setup.clock.advance(Duration::from_millis(2_200));
    let changed = timeout(SOON, everywhere).await.expect("then it is over").expect("task").expect("update");
    assert_eq!(changed.key.expect("key").state(), pb::KeyState::Disabled);
}

#[tokio::test]
async fn an_envoy_keeps_nothing_and_no_revocation_waits_for_it() {
    let server = Arc::new(Server::start_with(Setup::brisk()).await);
    let_cache(&server, Duration::from_secs(5)).await;
    let made = server.key().await;
    let request = crate::envoy_check::asks(&[], &[("x-api-key", &made.secret)]);
    let answer: CheckResponse = server.by_token(&server.admin, CHECK, &request).await.expect("decided");
    assert_eq!(answer.status.map(|status| status.code), Some(0));
    let revoked = timeout(SOON, revoking(&server, &made.key.expect("key"))).await;
    revoked.expect("at once").expect("task").expect("revoke");
}

#[tokio::test]
async fn what_takes_nothing_away_waits_for_no_cache() {
    let server = Arc::new(Server::start_with(Setup::brisk()).await);
    let_cache(&server, Duration::from_secs(5)).await;
    let made = server.key().await;
    let key = made.key.expect("key");
    assert!(cache_ttl(&server, &made.secret).await.is_some());
    timeout(SOON, let_cache(&server, Duration::from_secs(7))).await.expect("a longer time is told at once");
    let mut everywhere = revoking(&server, &key);
    until_applied(&server, &made.secret).await;
    // Behind one that waits, of the same application.
    let other = timeout(SOON, server.key()).await.expect("a create is good at once");
    assert_eq!(server.verdict(&other.secret).await, pb::Verdict::Valid);
    let viewer = server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]);
    timeout(SOON, viewer).await.expect("accounts are no part of what is kept");
    assert!(timeout(TURNS, &mut everywhere).await.is_err());
    server.setup.clock.advance(Duration::from_secs(6));
    timeout(SOON, everywhere).await.expect("in the end").expect("task").expect("revoke");
}

#[tokio::test]
async fn a_shorter_time_to_keep_answers_is_told_to_watchers_and_waits_for_the_longer_ones() {
    let server = Arc::new(Server::start_with(Setup::brisk()).await);
    let_cache(&server, Duration::from_secs(8)).await;
    let made = server.key().await;
    let mut watch = server.watch(&server.admin, &pb::WatchRevocationsRequest::default()).await.expect("watch");
    watch.bookmark().await;
    assert_eq!(cache_ttl(&server, &made.secret).await, Some(Duration::from_secs(8)));
    let setting = Arc::clone(&server);
    let mut setting = tokio::spawn(async move { let_cache(&setting, Duration::ZERO).await });
    let told = watch.revocation().await.0;
    assert_eq!((told.cause(), told.key_id.as_str()), (pb::RevocationCause::Narrowed, ""), "of the whole application");
    assert_eq!(cache_ttl(&server, &made.secret).await, None, "the replica goes by it");
    assert!(timeout(TURNS, &mut setting).await.is_err());
    server.setup.clock.advance(Duration::from_secs(9));
    let revision = timeout(SOON, setting).await.expect("then it is over").expect("task");
    assert_eq!(told.revision, revision);
}

/// A key whose VALID a verifier may keep for 8 seconds from now on.
async fn kept_for_8_seconds(server: &Server) -> pb::CreateKeyResponse {
    let application = pb::Application {
        name: "caches".to_owned(),
        max_cache_ttl: Some(span(Duration::from_secs(8))),
        ..Default::default()
    };
    let request = pb::CreateApplicationRequest { application: Some(application), ..Default::default() };
    let created: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("create");
    let application_id = created.application.expect("application").application_id;
    let made = server.key_with(|request| request.application_id = application_id).await;
    assert_eq!(cache_ttl(server, &made.secret).await, Some(Duration::from_secs(8)));
    made
}

#[tokio::test]
async fn what_was_handed_out_inside_a_longer_lease_is_waited_for_too() {
    let server = Server::start_with(Setup::brisk()).await;
    let made = kept_for_8_seconds(&server).await;
    let key = made.key.expect("key");
    // It takes 3 s of the clock.
    let server = Arc::new(server.restart_with(|setup| setup.pace.lease = Duration::from_secs(2)).await);
    let mut everywhere = revoking(&server, &key);
    until_applied(&server, &made.secret).await;
    server.setup.clock.advance(Duration::from_secs(4));
    assert!(timeout(TURNS, &mut everywhere).await.is_err(), "its own lease would be over");
    server.setup.clock.advance(Duration::from_secs(7));
    timeout(SOON, everywhere).await.expect("then it is over").expect("task").expect("revoke");
}

#[tokio::test]
async fn what_was_handed_out_before_a_restart_is_waited_for() {
    let server = Server::start_with(Setup::brisk()).await;
    let made = kept_for_8_seconds(&server).await;
    let key = made.key.expect("key");
    // It takes 3 s of the clock.
    let server = Arc::new(server.restart().await);
    let mut everywhere = revoking(&server, &key);
    until_applied(&server, &made.secret).await;
    assert!(timeout(TURNS, &mut everywhere).await.is_err());
    // On a database that others share it is the replica before that is waited for, as long as its lease
    // would be.
    server.setup.clock.advance(Duration::from_secs(8));
    timeout(SOON, everywhere).await.expect("then it is over").expect("task").expect("revoke");
}

#[tokio::test]
async fn where_nothing_is_kept_a_revocation_takes_no_more_syncs_than_it_did() {
    let server = Arc::new(Server::start_with(Setup::held()).await);
    let made = create_unconfirmed(&server).await;
    verify_from(&server, &made.secret, made.revision).await.expect("applied");
    let rows = Rows::of(&server).await;
    let before = server.at_rest().await;
    let everywhere = revoking(&server, &made.key.expect("key"));
    let is_written = async || rows.number("SELECT seq FROM log_head").await > made.revision;
    until("the revocation is written", is_written).await;
    // One ring: the sync that reads it, and at once the one that says so.
    server.turn().await;
    timeout(SOON, everywhere).await.expect("no later sync is needed").expect("task").expect("revoke");
    assert_eq!(server.turns().await - before, 2);
}

#[tokio::test]
async fn a_revocation_that_waits_does_not_drive_the_loop() {
    let server = Server::start_with(Setup { clock: Clock::system(), ..Setup::default() }).await;
    let_cache(&server, Duration::from_secs(1)).await;
    let made = server.key().await;
    assert_eq!(cache_ttl(&server, &made.secret).await, Some(Duration::from_secs(1)));
    let (begun, before) = (Instant::now(), server.turns().await);
    server.revoke(&made.key.expect("key")).await;
    let (waited, made) = (begun.elapsed(), server.turns().await - before);
    assert!(
        (Duration::from_millis(900)..Duration::from_secs(8)).contains(&waited),
        "as soon as it is over: {waited:?}"
    );
    assert!((3..20).contains(&made), "{made} syncs");
}

/// What a verifier keeps: until when, by the clock that it read before it asked.
#[derive(Default)]
struct Kept {
    until: Option<Instant>,
    /// When VALID was last served, from here or by the server.
    served: Option<Instant>,
    from_here: u32,
}

/// Serves one key as often as it can, and keeps to `cache_ttl`, until it is refused.
async fn serve(server: Arc<Server>, secret: String) -> Kept {
    let mut kept = Kept::default();
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        assert!(begun.elapsed() < Duration::from_secs(60), "it is never refused");
        if kept.until.is_some_and(|until| asked < until) {
            kept.served = Some(asked);
            kept.from_here += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        let answer = verify(&server, &ask(&secret)).await.expect("verify");
        if answer.verdict() != pb::Verdict::Valid {
            return kept;
        }
        kept.served = Some(asked);
        kept.until = answer.cache_ttl.map(|ttl| asked + Duration::try_from(ttl).expect("a time"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_revocation_everywhere_no_verifier_serves_valid_from_what_it_kept() {
    let server = Arc::new(Server::start_with(Setup { clock: Clock::system(), ..Setup::default() }).await);
    let_cache(&server, Duration::from_millis(250)).await;
    let mut from_here = 0;
    for round in 0..6_u64 {
        let made = server.key().await;
        let verifiers: Vec<_> = (0..4).map(|_| tokio::spawn(serve(Arc::clone(&server), made.secret.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(20 + 37 * round)).await;
        server.revoke(&made.key.expect("key")).await;
        let returned = Instant::now();
        for verifier in verifiers {
            let kept = verifier.await.expect("verifier");
            assert!(
                kept.served.is_none_or(|at| at <= returned),
                "round {round}: VALID was served after the revocation"
            );
            assert!(kept.until.is_none_or(|until| until <= returned), "round {round}: or could have been");
            from_here += kept.from_here;
        }
    }
    assert!(from_here > 100, "{from_here} answers were kept ones");
}
