//! What is unlike before is told, each by its rule; and nothing else is.

use std::time::Duration;

use portcullis::pb::{self, QuotaPeriod};

use crate::{
    envoy_check::asks,
    harness::{
        Headers, Rows, Server,
        limits::quota,
        verify::{about, rate_limit},
    },
    sweep::CHECK,
};

/// A test begins three seconds after midnight, and its clock stands still.
const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_secs(60);

const NOTHING: &[&str] = &[];

#[tokio::test]
async fn a_key_that_is_good_from_a_new_network_is_told_of_once() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    for first in ["192.0.2.7", "192.0.2.255", "::ffff:192.0.2.9"] {
        assert_eq!(server.verdict_from(&secret, first).await, pb::Verdict::Valid);
        assert_eq!(server.suspicions().await, NOTHING, "the first network of all: {first}");
    }
    server.verdict_from(&secret, "2001:db8:1::1").await;
    assert_eq!(server.suspicions().await, ["new_network 2001:db8:1::/48"]);
    let server = server.restart().await;
    for known in ["192.0.2.1", "2001:db8:1:ffff::1", "192.0.2.2"] {
        server.advance(2 * HOUR).await;
        server.verdict_from(&secret, known).await;
        assert_eq!(server.suspicions().await.len(), 1, "{known}");
    }
    server.verdict_from(&secret, "198.51.100.1").await;
    assert_eq!(server.suspicions().await[1], "new_network 198.51.100.0/24");
    let notice = server.notices("key.suspicious").await.remove(1);
    assert_eq!((&notice["application_id"], &notice["key"]["name"]), (&server.app.clone().into(), &"key".into()));
}

#[tokio::test]
async fn refused_calls_dry_runs_and_publishable_keys_teach_and_tell_no_network() {
    let server = Server::start().await;
    let bound = server.key_with(|request| request.ip_allowlist = vec!["192.0.2.0/24".to_owned()]).await.secret;
    server.verdict_from(&bound, "192.0.2.1").await;
    assert_eq!(server.verdict_from(&bound, "198.51.100.1").await, pb::Verdict::IpNotAllowed);
    let free = server.key().await.secret;
    server.verdict_from(&free, "192.0.2.1").await;
    let dry = pb::VerifyKeyRequest { client_ip: "198.51.100.1".to_owned(), dry_run: true, ..about(&free) };
    assert_eq!(server.verdict_on(&dry).await, pb::Verdict::Valid);
    let publishable = server.key_with(|request| {
        request.r#type = pb::KeyType::Publishable.into();
        request.referrer_allowlist = vec!["*.example.com".to_owned()];
    });
    let publishable = publishable.await.secret;
    for client_ip in ["192.0.2.1", "198.51.100.1"] {
        let (client_ip, referrer) = (client_ip.to_owned(), "https://a.example.com".to_owned());
        let call = pb::VerifyKeyRequest { client_ip, referrer, ..about(&publishable) };
        assert_eq!(server.verdict_on(&call).await, pb::Verdict::Valid);
    }
    assert_eq!(server.suspicions().await, NOTHING);
    let rows = Rows::of(&server).await;
    assert_eq!(rows.texts("SELECT DISTINCT network FROM key_network").await, ["192.0.2.0/24"]);
    server.verdict_from(&free, "198.51.100.1").await;
    assert_eq!(server.suspicions().await, ["new_network 198.51.100.0/24"], "which nothing had taught");
}

#[tokio::test]
async fn an_application_that_does_not_want_to_hear_of_networks_is_not_told_and_they_are_learned() {
    let server = Server::start().await;
    server.thresholds(0, 0, true).await;
    let secret = server.key().await.secret;
    for client_ip in ["192.0.2.1", "198.51.100.1"] {
        server.verdict_from(&secret, client_ip).await;
    }
    assert_eq!(server.suspicions().await, NOTHING);
    server.thresholds(0, 0, false).await;
    server.advance(2 * HOUR).await;
    for client_ip in ["198.51.100.1", "203.0.113.1"] {
        server.verdict_from(&secret, client_ip).await;
    }
    assert_eq!(server.suspicions().await, ["new_network 203.0.113.0/24"]);
}

#[tokio::test]
async fn envoy_s_checks_are_watched_as_any_call() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    for address in ["192.0.2.1", "198.51.100.1"] {
        use envoy_types::pb::envoy::{
            config::core::v3::{Address, SocketAddress, address},
            service::auth::v3::attribute_context::Peer,
        };
        let mut check = asks(&[], &[("authorization", &format!("Bearer {secret}"))]);
        let socket = SocketAddress { address: address.to_owned(), ..Default::default() };
        let address = Address { address: Some(address::Address::SocketAddress(socket)) };
        let attributes = check.attributes.as_mut().expect("attributes");
        attributes.source = Some(Peer { address: Some(address), ..Default::default() });
        let answer: envoy_types::pb::envoy::service::auth::v3::CheckResponse =
            server.by_token(&server.admin, CHECK, &check).await.expect("check");
        assert_eq!(answer.status.expect("a status").code, 0, "allowed");
    }
    assert_eq!(server.suspicions().await, ["new_network 198.51.100.0/24"]);
}

/// Calls that are refused for what they ask for.
async fn deny(server: &Server, secret: &str, times: usize) {
    for _ in 0..times {
        let call = pb::VerifyKeyRequest { required_permissions: vec!["no:such".to_owned()], ..about(secret) };
        assert_eq!(server.verdict_on(&call).await, pb::Verdict::PermissionMissing);
    }
}

#[tokio::test]
async fn so_many_refused_calls_within_a_minute_are_told_and_one_fewer_are_not() {
    let server = Server::start().await;
    server.thresholds(5, 0, false).await;
    let secret = server.key().await.secret;
    deny(&server, &secret, 4).await;
    assert_eq!(server.suspicions().await, NOTHING);
    server.advance(MINUTE).await;
    deny(&server, &secret, 4).await;
    assert_eq!(server.suspicions().await, NOTHING, "eight, and no five within a minute");
    server.advance(Duration::from_secs(59)).await;
    let dry = pb::VerifyKeyRequest { required_permissions: vec!["no:such".to_owned()], ..about(&secret) };
    server.verdict_on(&pb::VerifyKeyRequest { dry_run: true, ..dry }).await;
    assert_eq!(server.suspicions().await, NOTHING, "a dry run is none");
    deny(&server, &secret, 1).await;
    assert_eq!(server.suspicions().await, ["denied_burst"]);
    assert_eq!(server.notices("key.suspicious").await[0]["denied"], 5);
}

#[tokio::test]
async fn a_hundred_refused_calls_are_a_burst_where_nothing_else_was_chosen() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    deny(&server, &secret, 99).await;
    assert_eq!(server.suspicions().await, NOTHING);
    deny(&server, &secret, 1).await;
    assert_eq!(server.suspicions().await, ["denied_burst"]);
}

#[tokio::test]
async fn a_revoked_key_that_is_used_is_told_of_once_a_day() {
    let server = Server::start().await;
    let made = server.key().await;
    server.revoke(made.key.as_ref().expect("key")).await;
    let dry = pb::VerifyKeyRequest { dry_run: true, ..about(&made.secret) };
    assert_eq!(server.verdict_on(&dry).await, pb::Verdict::Revoked);
    assert_eq!(server.suspicions().await, NOTHING, "whoever is asked why looks only");
    for hours in 0..23 {
        assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
        assert_eq!(server.suspicions().await, ["used_after_revocation"], "{hours} hours later");
        server.advance(HOUR).await;
    }
    server.advance(HOUR + MINUTE).await;
    assert_eq!(server.verdict(&made.secret).await, pb::Verdict::Revoked);
    assert_eq!(server.suspicions().await.len(), 2, "on the next day once more");
}

/// As many calls as it takes for this server to look, and the rest of them of another's.
async fn calls(server: &Server, made: &pb::CreateKeyResponse, all: i64) {
    let (headers, by_us) = (Headers::bearer(&server.admin.token(server)), 100);
    for _ in 0..by_us {
        server.spend_by(&headers, &made.secret).await;
    }
    server.flush().await;
    more(server, made, all - by_us).await;
}

async fn more(server: &Server, made: &pb::CreateKeyResponse, more: i64) {
    let key = &made.key.as_ref().expect("key").key_id;
    let hour = server.now().seconds() / 3600 * 3_600_000_000;
    let sql = format!(
        "UPDATE usage_count SET requests = requests + {more} WHERE key_id = '{key}' AND unit = 'hour' AND start = {hour}"
    );
    Rows::of(&server).await.change(&sql).await;
}

#[tokio::test]
async fn an_hour_that_is_so_much_busier_than_the_last_week_is_told() {
    let server = Server::start().await;
    server.thresholds(0, 4, false).await;
    let made = server.key().await;
    calls(&server, &made, 5_000).await;
    assert_eq!(server.suspicions().await, NOTHING, "a key of today has no usual volume");
    server.advance(Duration::from_hours(25)).await;
    calls(&server, &made, 20_000).await;
    server.advance(MINUTE).await;
    assert_eq!(server.suspicions().await, NOTHING, "four times is not above four times");
    more(&server, &made, 1).await;
    assert_eq!(server.suspicions().await, NOTHING, "it is looked up once a minute");
    server.advance(MINUTE).await;
    assert_eq!(server.suspicions().await, ["sudden_volume"]);
    let told = server.notices("key.suspicious").await.remove(0);
    assert_eq!((&told["requests"], &told["usual"]), (&20_001.into(), &5_000.into()));
    server.advance(MINUTE).await;
    assert_eq!(server.suspicions().await.len(), 1, "and once an hour");
    server.advance(Duration::from_hours(24 * 8)).await;
    calls(&server, &made, 999).await;
    server.advance(MINUTE).await;
    assert_eq!(server.suspicions().await.len(), 1, "so few are never sudden");
    more(&server, &made, 1).await;
    server.advance(MINUTE).await;
    assert_eq!(server.suspicions().await.len(), 2, "after a week without any");
}

#[tokio::test]
async fn a_limit_that_is_exceeded_is_told_once_an_hour_and_a_quota_once_in_its_period() {
    let server = Server::start().await;
    let limits = [rate_limit("second", 2, 1), rate_limit("minute", 3, 60)];
    let made = server.limited(&limits, &[quota(7, QuotaPeriod::Day)]).await;
    let names = async |kind: &str| {
        server.look().await;
        let told = server.notices(kind).await;
        told.iter().map(|data| data["limit"].as_str().expect("a limit").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(server.spend_all(&made.secret).await.0, 2);
    server.spend_all(&made.secret).await;
    assert_eq!(names("limit.exceeded").await, ["second"]);
    server.advance(Duration::from_secs(2)).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 1);
    assert_eq!(names("limit.exceeded").await, ["second", "minute"]);
    server.advance(2 * MINUTE).await;
    server.spend_all(&made.secret).await;
    assert_eq!(names("limit.exceeded").await.len(), 2, "both were told within the hour");
    assert_eq!(names("quota.exceeded").await, NOTHING);
    server.advance(HOUR).await;
    assert_eq!(server.spend_all(&made.secret).await.0, 2);
    assert_eq!(names("limit.exceeded").await, ["second", "minute", "second"]);
    assert_eq!(server.spend_all(&made.secret).await.1.verdict(), pb::Verdict::RateLimited);
    assert_eq!(names("quota.exceeded").await, ["quota.day"], "told even where a rate limit is told first");
    for day in 1..3 {
        server.advance(Duration::from_hours(12)).await;
        server.spend(&made.secret, 8).await;
        assert_eq!(names("quota.exceeded").await.len(), day, "noon");
        server.advance(Duration::from_hours(12)).await;
        server.spend(&made.secret, 8).await;
        assert_eq!(names("quota.exceeded").await.len(), day + 1, "the next day's");
    }
}

/// As rotation makes them: the second key of a chain, and the first one's overlap is over.
#[tokio::test]
async fn keys_of_a_chain_share_their_networks_and_one_whose_overlap_is_over_is_told_of_as_revoked() {
    let server = Server::start().await;
    let (first, second) = (server.key().await, server.key().await);
    server.verdict_from(&first.secret, "192.0.2.1").await;
    server.look().await;
    let [old, new] = [&first, &second].map(|made| &made.key.as_ref().expect("key").key_id);
    let end = server.now().micros();
    let rows = Rows::of(&server).await;
    let sql = format!("UPDATE api_key SET rotated_to = '{new}', overlap_end_time = {end} WHERE key_id = '{old}'");
    rows.change(&sql).await;
    rows.change(&format!("UPDATE api_key SET chain = '{old}', rotated_from = '{old}' WHERE key_id = '{new}'")).await;
    let server = server.restart().await;
    assert_eq!(server.verdict_from(&second.secret, "192.0.2.2").await, pb::Verdict::Valid);
    assert_eq!(server.suspicions().await, NOTHING, "its chain was there");
    assert_eq!(server.verdict_from(&second.secret, "198.51.100.1").await, pb::Verdict::Valid);
    assert_eq!(server.suspicions().await, ["new_network 198.51.100.0/24"], "and its first network is none of its own");
    assert_eq!(server.verdict(&first.secret).await, pb::Verdict::Revoked);
    assert_eq!(server.suspicions().await[1], "used_after_revocation");
}
