use std::net::Ipv4Addr;

use uuid::Uuid;

use super::{sweep::round, *};
use crate::domain::{id::ApplicationId, span::Span};

const NOW: Timestamp = Timestamp::from_seconds(1_795_219_200);

fn key(number: u128) -> KeyFacts {
    KeyFacts::plain(KeyId::new(Uuid::from_u128(number)), ApplicationId::new(Uuid::from_u128(7)))
}

fn call(key: &KeyFacts, verdict: Verdict, ip: u32) -> Decided<'_> {
    Decided { key, verdict, client_ip: Some(Ipv4Addr::from_bits(ip).into()), balances: &[], now: NOW }
}

fn later(by: u64) -> Timestamp {
    NOW.checked_add(Duration::from_secs(by)).expect("in range")
}

fn told(notes: &mut mpsc::Receiver<Note>) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(note) = notes.try_recv() {
        told.push(match note {
            Note::Denied(_) => "denied".to_owned(),
            Note::Found(finding) => format!("{} {}", finding.sign.kind(), finding.sign.detail()).trim().to_owned(),
        });
    }
    told
}

#[test]
fn only_good_calls_with_secret_keys_teach_a_network_and_each_is_sent_once() {
    let (signals, mut notes) = Signals::with_queue();
    let secret = key(1);
    let publishable = KeyFacts { kind: KeyType::Publishable, ..key(2) };
    for _ in 0..3 {
        signals.see(&call(&secret, Verdict::Valid, 0x0a00_0001));
        signals.see(&call(&secret, Verdict::Valid, 0x0a00_00ff));
        signals.see(&call(&secret, Verdict::Valid, 0x0a00_0101));
        signals.see(&call(&publishable, Verdict::Valid, 0x0a00_0001));
        signals.see(&Decided { client_ip: None, ..call(&secret, Verdict::Valid, 0) });
    }
    assert_eq!(told(&mut notes), ["new_network", "new_network"]);
    signals.see(&call(&secret, Verdict::IpNotAllowed, 0x0b00_0001));
    assert_eq!(told(&mut notes), ["denied"], "a refused call proves nothing");
    assert_eq!(signals.size(), (2, 2));
}

#[test]
fn limits_and_revoked_keys_are_sent_once_until_the_sweep() {
    let (signals, mut notes) = Signals::with_queue();
    let key = key(1);
    let balance = |name: &str, span, exceeded| Balance {
        name: name.into(),
        limit: 1,
        remaining: 0,
        span,
        reset_time: later(60),
        exceeded,
    };
    let balances =
        [balance("a", Span::Seconds(60), false), balance("b", Span::Seconds(9), true), balance("c", Span::Day, true)];
    for _ in 0..2 {
        for _ in 0..3 {
            signals.see(&Decided { balances: &balances, ..call(&key, Verdict::RateLimited, 1) });
            signals.see(&call(&key, Verdict::Revoked, 1));
        }
        let told = told(&mut notes);
        assert_eq!(told.iter().filter(|note| *note != "denied").count(), 3, "{told:?}");
        assert!(told.contains(&"limit_exceeded b".to_owned()) && told.contains(&"quota_exceeded c".to_owned()));
        round(&signals, NOW, false);
    }
}

/// An attacker with one good key, and addresses that nobody checks.
#[test]
fn a_flood_of_made_up_addresses_fills_neither_memory_nor_the_queue() {
    let (signals, mut notes) = Signals::with_queue();
    let key = key(1);
    for at in 0..100_000_u32 {
        signals.see(&call(&key, Verdict::Valid, at << 8));
    }
    assert_eq!(told(&mut notes).len(), MOST_NETWORKS_OF_A_KEY as usize);
    assert_eq!(signals.size(), (1, MOST_NETWORKS_OF_A_KEY as usize));
    // With many keys: the queue is full, and what did not get in is nowhere.
    for number in 0..200_000 {
        signals.see(&call(&self::key(number), Verdict::Valid, 0x0a00_0000));
    }
    assert_eq!(told(&mut notes).len(), QUEUE);
    let (keys, networks) = signals.size();
    assert_eq!((keys, networks), (200_000, QUEUE + MOST_NETWORKS_OF_A_KEY as usize));
    round(&signals, NOW, false);
    round(&signals, later(7_200), false);
    assert_eq!(signals.size().0, 0, "nobody used them in this hour, nor in the one before");
}

#[test]
fn keys_beyond_the_bound_are_left_out() {
    let (signals, _notes) = Signals::with_queue();
    let kept = allocation_counter::measure(|| {
        for number in 0..MOST_KEYS as u128 + 1_000 {
            signals.see(&Decided { client_ip: None, ..call(&key(number), Verdict::Valid, 0) });
        }
    });
    assert_eq!(signals.size().0, MOST_KEYS);
    println!("{MOST_KEYS} keys: {} bytes", kept.bytes_current);
    assert!(kept.bytes_current < 160_000_000, "{} bytes", kept.bytes_current);
}

#[test]
fn what_finds_no_room_is_counted_and_told_once() {
    let (signals, _notes) = Signals::with_queue();
    assert_eq!(signals.take_left_out(), 0);
    for number in 0..QUEUE as u128 + 3 {
        signals.see(&call(&key(number + 1), Verdict::Valid, 0x0a00_0001));
    }
    assert_eq!(signals.take_left_out(), 3, "all but what the queue holds");
    assert_eq!(signals.take_left_out(), 0, "and not twice");
}
