//! GetRateLimit: who may ask it what.

use portcullis::pb::{self, QuotaPeriod, get_rate_limit_request::Subject};
use tonic::Code;

use crate::harness::{
    Server,
    limits::{left, quota},
    refusal,
    verify::rate_limit,
    violations,
};

/// A test begins at 2026-11-21T00:00:03Z, and its clock stands still.
const SINCE_MIDNIGHT: i64 = 3;
const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn get_rate_limit_tells_what_is_left_and_spends_nothing() {
    let server = Server::start().await;
    let key = server.limited(&[rate_limit("minute", 10, 60)], &[quota(20, QuotaPeriod::Day)]).await;
    let id = key.key.as_ref().expect("key").key_id.clone();
    let by_secret =
        pb::GetRateLimitRequest { subject: Some(Subject::Secret(key.secret.clone())), ..Default::default() };
    let by_id = pb::GetRateLimitRequest { subject: Some(Subject::KeyId(id.clone())), ..Default::default() };
    let expected = [("minute", 10, 10), ("quota.day", 20, 20)];
    for request in [&by_id, &by_secret, &by_id] {
        let told = server.rate_limit(request).await.expect("limits");
        assert_eq!((told.key_id.as_str(), left(&told.rate_limits)), (id.as_str(), expected.to_vec()));
        let reset: Vec<_> = told.rate_limits.iter().map(|limit| limit.reset_time.expect("set").seconds).collect();
        let midnight = server.now().seconds() - SINCE_MIDNIGHT;
        assert_eq!((reset, told.revision), (vec![midnight + 60, midnight + DAY], key.revision));
    }
    server.spend(&key.secret, 4).await;
    assert_eq!(
        left(&server.rate_limit(&by_id).await.expect("limits").rate_limits),
        [("minute", 10, 6), ("quota.day", 20, 16)]
    );
    let free = server.key().await;
    let of_free = pb::GetRateLimitRequest { subject: Some(Subject::Secret(free.secret)), ..Default::default() };
    assert_eq!(server.rate_limit(&of_free).await.expect("limits").rate_limits, [], "it has no limits");
}

#[tokio::test]
async fn get_rate_limit_is_for_verifiers_within_their_applications() {
    let server = Server::start().await;
    let made = server.limited(&[rate_limit("minute", 10, 60)], &[]).await;
    let id = made.key.expect("key").key_id;
    let application = Some(pb::Application { name: "other".to_owned(), ..Default::default() });
    let request = pb::CreateApplicationRequest { application, ..Default::default() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    let other = other.application.expect("application").application_id;
    let get = |subject: Subject, application: &str| pb::GetRateLimitRequest {
        subject: Some(subject),
        application_id: application.to_owned(),
    };
    let not_found = (Code::NotFound, "KEY_NOT_FOUND".to_owned());
    for subject in [
        Subject::Secret("sk_live_nonsense".to_owned()),
        Subject::Secret("sk_live_00000000000000000000000000000000000000000001Vxh1Z".to_owned()),
        Subject::KeyId("key_0000000000000000000000".to_owned()),
    ] {
        assert_eq!(refusal(server.rate_limit(&get(subject, "")).await), not_found);
    }
    for subject in [Subject::Secret(made.secret.clone()), Subject::KeyId(id.clone())] {
        assert_eq!(refusal(server.rate_limit(&get(subject.clone(), &other)).await), not_found);
        server.rate_limit(&get(subject, &server.app)).await.expect("its own");
    }
    for (request, field) in [
        (pb::GetRateLimitRequest::default(), "secret"),
        (get(Subject::KeyId("key_1".to_owned()), ""), "key_id"),
        (get(Subject::KeyId(id.clone()), "app_1"), "application_id"),
    ] {
        assert_eq!(violations(&server.rate_limit(&request).await.expect_err("refused")), [field]);
    }
    let verifier = server.admin.hire_role(&server, 1, pb::Role::Verifier, &[]).await;
    let viewer = server.admin.hire_role(&server, 2, pb::Role::Viewer, &[]).await;
    let elsewhere = pb::ServiceAccount {
        name: "elsewhere".to_owned(),
        roles: vec![pb::Role::Verifier.into()],
        application_ids: vec![other],
        ..Default::default()
    };
    let elsewhere = server.admin.hire(&server, 3, elsewhere).await;
    let ask = async |who, request| {
        server.by_token::<_, pb::GetRateLimitResponse>(who, "KeyService/GetRateLimit", &request).await
    };
    let by_id = || Subject::KeyId(id.clone());
    ask(&verifier, get(by_id(), "")).await.expect("a verifier");
    assert_eq!(refusal(ask(&viewer, get(by_id(), "")).await).1, "ROLE_MISSING");
    assert_eq!(refusal(ask(&elsewhere, get(by_id(), "")).await), not_found);
    assert_eq!(refusal(ask(&elsewhere, get(by_id(), &server.app)).await).1, "APPLICATION_OUT_OF_SCOPE");
}
