//! No alert storms: whoever causes them, and however many keys they have.

use std::time::Duration;

use portcullis::{domain::time::Timestamp, pb};

use crate::harness::{Headers, Rows, Server, message_bytes, verify::about};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_burst_that_goes_on_is_told_once_an_hour_over_a_restart_too() {
    let mut server = Server::start().await;
    server.thresholds(2, 0, false).await;
    let secret = server.key().await.secret;
    let burst = async |server: &Server| {
        // The last look is of this minute, as it is where a clock goes on by itself.
        server.look().await;
        for _ in 0..3 {
            let call = pb::VerifyKeyRequest { required_permissions: vec!["no:such".to_owned()], ..about(&secret) };
            server.verdict_on(&call).await;
        }
    };
    for round in 0..8 {
        burst(&server).await;
        assert_eq!(server.suspicions().await, ["denied_burst"], "round {round}");
        server = if round % 2 == 0 { server.restart().await } else { server };
        server.advance(Duration::from_secs(400)).await;
    }
    server.advance(Duration::from_secs(400)).await;
    burst(&server).await;
    assert_eq!(server.suspicions().await.len(), 2, "an hour later it is told again");
}

#[tokio::test]
async fn of_many_new_networks_one_an_hour_is_told_and_says_how_many_more_there_were() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    for third in 0..5 {
        server.verdict_from(&secret, &format!("10.0.{third}.1")).await;
    }
    assert_eq!(server.suspicions().await, ["new_network 10.0.1.0/24"]);
    server.advance(HOUR).await;
    for third in 0..6 {
        server.verdict_from(&secret, &format!("10.0.{third}.1")).await;
    }
    assert_eq!(server.suspicions().await, ["new_network 10.0.1.0/24", "new_network 10.0.5.0/24"]);
    let told = server.notices("key.suspicious").await;
    assert_eq!((&told[0]["held_back"], &told[1]["held_back"]), (&serde_json::Value::Null, &3.into()));
}

#[tokio::test]
async fn an_application_is_told_so_much_in_an_hour_and_the_last_says_how_much_more_there_was() {
    let server = Server::start().await;
    let mut secrets = Vec::new();
    for _ in 0..70 {
        secrets.push(server.key().await.secret);
    }
    for (at, secret) in secrets.iter().enumerate() {
        server.verdict_from(secret, "192.0.2.1").await;
        server.verdict_from(secret, &format!("10.0.{at}.1")).await;
    }
    server.look().await;
    assert_eq!(server.suspicions().await.len(), 59);
    server.advance(HOUR).await;
    let told = server.suspicions().await;
    assert_eq!((told.len(), told[59].as_str()), (60, "new_network 10.0.69.0/24"), "the last of the hour");
    assert_eq!(server.notices("key.suspicious").await[59]["held_back"], 10);
    server.verdict_from(&secrets[0], "203.0.113.1").await;
    assert_eq!(server.suspicions().await.len(), 61, "and the next hour begins anew");
}

/// With one good key and a verifier that believes any address.
#[tokio::test]
async fn made_up_addresses_fill_no_table() {
    let server = Server::start().await;
    let secret = server.key().await.secret;
    let headers = Headers::bearer(&server.admin.token(&server));
    // The first look is the first of a minute.
    server.look().await;
    for minute in 0..3 {
        for at in 0..300 {
            let client_ip = format!("10.{minute}.{}.1", at % 256);
            let client_ip = if at < 256 { client_ip } else { format!("2001:db8:{minute}{at:x}::1") };
            let call = message_bytes(&pb::VerifyKeyRequest { client_ip, ..about(&secret) });
            let _: pb::VerifyKeyResponse =
                server.with_headers("KeyService/VerifyKey", call, &headers).await.expect("verify");
        }
        assert_eq!(server.suspicions().await.len(), 1, "minute {minute}");
        assert!(server.running().signals().size().1 <= 256);
        server.advance(Duration::from_secs(60)).await;
        server.look().await;
    }
    let rows = Rows::of(&server).await;
    assert_eq!(rows.number("SELECT count(*) FROM key_network").await, 256);
    let oldest = "SELECT count(*) FROM key_network WHERE network LIKE '10.0.%' OR network LIKE '10.1.%'";
    assert_eq!(rows.number(oldest).await, 0, "the oldest are forgotten first");
    assert_eq!(rows.number("SELECT count(*) FROM alert").await, 1);
}

#[tokio::test]
async fn networks_are_forgotten_after_ninety_days_without_use_but_the_last_one_stays() {
    let server = Server::start().await;
    let made = server.key().await;
    for client_ip in ["192.0.2.1", "198.51.100.1"] {
        server.verdict_from(&made.secret, client_ip).await;
        server.look().await;
        server.advance(Duration::from_hours(24)).await;
    }
    let forget = async |days: u64| {
        let now: Timestamp = server.now().checked_add(Duration::from_hours(24 * days)).expect("in range");
        server.store().forget_signals(now).await.expect("forget")
    };
    let rows = Rows::of(&server).await;
    let known = async || rows.texts("SELECT network FROM key_network ORDER BY network").await;
    forget(88).await;
    assert_eq!(known().await, ["192.0.2.0/24", "198.51.100.0/24"], "90 days, and no more");
    forget(89).await;
    assert_eq!(known().await, ["198.51.100.0/24"]);
    forget(1000).await;
    assert_eq!(known().await, ["198.51.100.0/24"], "or an old key that is found would be told of by nobody");
    // Seen again on another day: its 90 days begin anew.
    server.verdict_from(&made.secret, "198.51.100.1").await;
    server.look().await;
    let last = rows.number("SELECT last_time FROM key_network").await;
    assert_eq!(last, server.now().micros());
}
