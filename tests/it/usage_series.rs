//! GetKeyUsage: which hours and days, for whom, and what is refused.

use std::time::Duration;

use portcullis::{clock::Clock, domain::time::Timestamp, pb};
use tonic::Code;

use crate::harness::{Server, Setup, refusal};

const METHOD: &str = "KeyService/GetKeyUsage";

fn time(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn points(usage: &pb::GetKeyUsageResponse) -> Vec<(i64, i64)> {
    let start = |point: &pb::UsagePoint| point.start_time.expect("a start").seconds;
    usage.points.iter().map(|point| (start(point), point.requests)).collect()
}

/// 2026-12-01T00:00:00Z
const DECEMBER: i64 = 1_796_083_200;

/// Ten seconds before December, of which the harness takes three.
async fn at_the_end_of_november() -> Server {
    let clock = Clock::manual(Timestamp::from_seconds(DECEMBER - 10));
    Server::start_with(Setup { clock, ..Setup::default() }).await
}

#[tokio::test]
async fn hours_days_and_months_begin_anew_in_utc() {
    let server = at_the_end_of_november().await;
    let made = server.key().await;
    let key = made.key.expect("key").key_id;
    server.verdict(&made.secret).await;
    server.verdict(&made.secret).await;
    server.advance(Duration::from_secs(7)).await;
    assert_eq!(server.now().seconds(), DECEMBER);
    // Not flushed in between: a call belongs to the hour in which it was decided.
    server.verdict(&made.secret).await;
    let usage = server.used_key(&key).await.usage.expect("usage");
    assert_eq!((usage.requests_today, usage.requests_this_month), (1, 1), "of December");
    server.advance(Duration::from_hours(25)).await;
    server.verdict(&made.secret).await;
    let usage = server.used_key(&key).await.usage.expect("usage");
    assert_eq!((usage.requests_today, usage.requests_this_month), (1, 2), "of its second day");

    let hours = server.usage_with(&key, |request| request.start_time = time(DECEMBER - 7200)).await;
    assert_eq!(points(&hours), [(DECEMBER - 3600, 2), (DECEMBER, 1), (DECEMBER + 25 * 3600, 1)]);
    let days = |request: &mut pb::GetKeyUsageRequest| request.step = pb::UsageStep::Day.into();
    let all = [(DECEMBER - 86_400, 2), (DECEMBER, 1), (DECEMBER + 86_400, 1)];
    assert_eq!(points(&server.usage_with(&key, days).await), all);
    assert_eq!(points(&server.usage_with("", days).await), all, "and so of the application");
}

#[tokio::test]
async fn a_range_begins_with_the_step_that_its_start_is_in_and_ends_before_its_end() {
    let server = at_the_end_of_november().await;
    let made = server.key().await;
    let key = made.key.expect("key").key_id;
    for _ in 0..4 {
        server.verdict(&made.secret).await;
        server.advance(Duration::from_hours(1)).await;
    }
    let of = async |start: i64, end: i64| {
        let range = |request: &mut pb::GetKeyUsageRequest| {
            (request.start_time, request.end_time) = (time(start), time(end));
        };
        let usage = server.usage_with(&key, range).await;
        assert_eq!(usage.requests, i64::try_from(usage.points.len()).expect("few"), "totals are of the points");
        points(&usage).into_iter().map(|(start, _)| (start - DECEMBER) / 3600).collect::<Vec<_>>()
    };
    assert_eq!(of(DECEMBER, DECEMBER + 7200).await, [0, 1]);
    assert_eq!(of(DECEMBER + 3599, DECEMBER + 3600).await, [0]);
    assert_eq!(of(DECEMBER - 1, DECEMBER + 1).await, [-1, 0]);
    assert_eq!(of(DECEMBER + 4 * 3600, DECEMBER + 5 * 3600).await, Vec::<i64>::new());
    let usage = server.usage_with(&key, |request| request.end_time = None).await;
    assert_eq!(usage.requests, 4, "24 hours up to now, unless it is asked otherwise");
}

#[tokio::test]
async fn what_is_no_range_is_told_field_by_field() {
    let server = Server::start().await;
    let good = pb::GetKeyUsageRequest { application_id: server.app.clone(), ..Default::default() };
    let now = server.now().seconds();
    let range = |start, end| pb::GetKeyUsageRequest { start_time: start, end_time: end, ..good.clone() };
    let nanos = |nanos| Some(prost_types::Timestamp { seconds: now, nanos });
    let bad: [(pb::GetKeyUsageRequest, &[&str]); 12] = [
        (range(time(now), time(now)), &["start_time"]),
        (range(time(now), time(now - 1)), &["start_time"]),
        (range(time(now + 3600), None), &["start_time"]),
        (range(time(now - 1001 * 3600), time(now)), &["start_time"]),
        (range(time(0), None), &["start_time"]),
        (range(None, time(0)), &["end_time"]),
        (range(time(-1), time(253_402_300_800)), &["end_time", "start_time"]),
        (range(time(i64::MIN), time(i64::MAX)), &["end_time", "start_time"]),
        (range(nanos(-1), nanos(1_000_000_000)), &["end_time", "start_time"]),
        (pb::GetKeyUsageRequest { step: 9, ..good.clone() }, &["step"]),
        (pb::GetKeyUsageRequest { key_id: "key_?".to_owned(), ..good.clone() }, &["key_id"]),
        (
            pb::GetKeyUsageRequest { step: -1, key_id: "?".to_owned(), ..range(time(-1), None) },
            &["application_id", "key_id", "start_time", "step"],
        ),
    ];
    for (at, (mut request, fields)) in bad.into_iter().enumerate() {
        if at == 11 {
            request.application_id.clear();
        }
        server.refuses_fields(METHOD, &request, fields).await;
    }
    let days = pb::GetKeyUsageRequest { step: pb::UsageStep::Day.into(), ..range(time(now - 999 * 86_400), None) };
    assert!(server.try_usage(&days).await.is_ok(), "1,000 days");
    let last = pb::GetKeyUsageRequest { ..range(time(253_402_300_000), time(253_402_300_799)) };
    assert!(server.try_usage(&last).await.expect("the last hour of all").points.is_empty());
}

#[tokio::test]
async fn usage_is_told_to_who_may_see_the_application_and_of_its_own_keys_only() {
    let server = Server::start().await;
    let made = server.key().await;
    let key_id = made.key.expect("key").key_id;
    let other = pb::Application { name: "other".to_owned(), ..Default::default() };
    let other = pb::CreateApplicationRequest { application: Some(other), ..Default::default() };
    let other: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &other).await.expect("application");
    let other = other.application.expect("application").application_id;

    let of = |application_id: &str, key_id: &str| pb::GetKeyUsageRequest {
        application_id: application_id.to_owned(),
        key_id: key_id.to_owned(),
        ..Default::default()
    };
    let not_found = |reason: &str| (Code::NotFound, reason.to_owned());
    assert_eq!(refusal(server.try_usage(&of(&other, &key_id)).await), not_found("KEY_NOT_FOUND"));
    let made_up = "app_0000000000000000000001";
    assert_eq!(refusal(server.try_usage(&of(made_up, "")).await), not_found("APPLICATION_NOT_FOUND"));
    assert_eq!(refusal(server.try_usage(&of(made_up, &key_id)).await), not_found("APPLICATION_NOT_FOUND"));

    let viewer = pb::ServiceAccount {
        name: "viewer".to_owned(),
        roles: vec![pb::Role::Viewer.into()],
        application_ids: vec![other.clone()],
        ..Default::default()
    };
    let viewer = server.admin.hire(&server, 1, viewer).await;
    let usage: pb::GetKeyUsageResponse = server.by_token(&viewer, METHOD, &of(&other, "")).await.expect("its own");
    assert_eq!((usage.requests, usage.error_rate), (0, 0.0));
    let answer = server.by_token::<_, pb::GetKeyUsageResponse>(&viewer, METHOD, &of(&server.app, "")).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned()));
    let verifier = server.admin.hire_role(&server, 2, pb::Role::Verifier, &[]).await;
    let answer = server.by_token::<_, pb::GetKeyUsageResponse>(&verifier, METHOD, &of(&server.app, "")).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "ROLE_MISSING".to_owned()));
}
