//! What it costs a call to be watched, and what a flood of addresses costs.

use std::{
    hint::black_box,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::{
    domain::{
        id::KeyId,
        key::{KeyEnvironment, KeyType},
        verdict::{KeyFacts, Verdict},
    },
    signals::Decided,
};

use crate::harness::{Rows, Server};

fn facts(server: &Server, id: KeyId) -> KeyFacts {
    KeyFacts {
        id,
        application_id: server.app.parse().expect("an id"),
        name: "k".into(),
        kind: KeyType::Secret,
        environment: KeyEnvironment::Live,
        permissions: [].into(),
        restrictions: Arc::default(),
        limits: Arc::default(),
        labels: [].into(),
        expire_time: None,
        expired: false,
        disabled: false,
        revoked: false,
        chain: id,
        successor: None,
    }
}

fn from<'a>(server: &Server, key: &'a KeyFacts, address: u32) -> Decided<'a> {
    let client_ip = Some(Ipv4Addr::from_bits(address).into());
    Decided { key, verdict: Verdict::Valid, client_ip, balances: &[], now: server.now() }
}

/// The bound is loose, for a build without optimisation on a busy machine; the figure is printed.
#[tokio::test]
async fn with_nothing_unlike_before_a_call_costs_little_and_allocates_nothing() {
    const CALLS: u32 = 500_000;
    let server = Server::start().await;
    let signals = server.running().signals();
    let keys: Vec<_> = (0..1_000).map(|number| facts(&server, KeyId::new(uuid::Uuid::from_u128(number)))).collect();
    let calls: Vec<_> = keys.iter().map(|key| from(&server, key, 0x0a00_0001)).collect();
    calls.iter().for_each(|call| signals.see(call));
    server.look().await;
    calls.iter().for_each(|call| signals.see(call));
    let begun = Instant::now();
    let counted = allocation_counter::measure(|| {
        for at in 0..CALLS {
            signals.see(black_box(&calls[at as usize % calls.len()]));
        }
    });
    let each = begun.elapsed() / CALLS;
    println!("{each:?} a call");
    assert_eq!(counted.count_total, 0);
    assert!(each < Duration::from_micros(20), "{each:?} a call");
}

#[tokio::test]
async fn a_flood_of_a_hundred_thousand_made_up_addresses_fills_neither_memory_nor_tables() {
    let server = Server::start().await;
    let id = server.key().await.key.expect("key").key_id.parse().expect("an id");
    let key = facts(&server, id);
    let begun = Instant::now();
    let grown = allocation_counter::measure(|| {
        for at in 0..100_000 {
            server.running().signals().see(&from(&server, &key, at << 8));
        }
    });
    println!("{:?} a call, {} bytes in all", begun.elapsed() / 100_000, grown.bytes_current);
    assert!(grown.bytes_current < 1_000_000, "{} bytes", grown.bytes_current);
    assert_eq!(server.running().signals().size(), (1, 256));
    let begun = Instant::now();
    assert_eq!(server.suspicions().await.len(), 1);
    println!("noted in {:?}", begun.elapsed());
    let rows = Rows::of(&server).await;
    assert_eq!(rows.number("SELECT count(*) FROM key_network").await, 256);
    assert_eq!(rows.number("SELECT count(*) FROM alert").await, 1);
    assert_eq!(rows.number("SELECT held FROM alert").await, 254);
}
