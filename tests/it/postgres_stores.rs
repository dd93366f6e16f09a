//! Three replicas do everything that they do beside each other at once: nobody waits in a circle, and
//! nothing that two of them change is lost.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis::{
    domain::{
        delivery::Attempt,
        id::KeyId,
        signal::{Finding, Sign},
        span::Span,
        subnet::Subnet,
        usage::{Counted, Tallied, Whose},
        verdict::Verdict,
    },
    pb,
    store::{Ask, AskSpan, Channel, GivenUp, Noted, Slots, Store, Unspent},
};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::harness::{
    Dice, Hook, Rows, Server, Setup,
    receiver::{Receiver, Reply},
};

/// How long they go on.
const WHILE: Duration = Duration::from_secs(8);
const KEYS: u128 = 80;
const CHAINS: u64 = 3;
/// More than are remembered of a chain: the oldest are forgotten again and again.
const NETWORKS: u64 = 300;
const BUDGETS: u64 = 4;
const LIMIT: u64 = 5_000_000;
const SPANS: [Span; 3] = [Span::Seconds(60), Span::Day, Span::Month];

/// What they have counted by themselves.
#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    told: AtomicI64,
    held: AtomicI64,
    granted: [[AtomicI64; SPANS.len()]; BUDGETS as usize],
    deeds: AtomicU64,
}

/// What all of them do things to.
#[derive(Debug)]
struct World {
    replicas: [Server; 3],
    hooks: [Hook; 2],
    /// Keys that nobody calls, of the application.
    keys: Vec<KeyId>,
    counts: Counts,
    until: Instant,
}

impl World {
    fn goes_on(&self) -> bool {
        self.counts.deeds.fetch_add(1, Ordering::Relaxed);
        Instant::now() < self.until
    }

    fn store(&self, at: usize) -> Store {
        self.replicas[at].store().clone()
    }

    fn application(&self) -> portcullis::domain::id::ApplicationId {
        self.replicas[0].app.parse().expect("an id")
    }

    fn budget(at: u64) -> KeyId {
        KeyId::new(Uuid::from_u128(u128::from(at) + 1))
    }
}

/// Keys come, change and go, which both webhooks hear of.
async fn change_keys(world: Arc<World>, at: usize) {
    let server = &world.replicas[at];
    while world.goes_on() {
        let key = server.key().await.key.expect("key");
        for name in ["second", "third"] {
            server.update(&key, &["name"], pb::Key { name: name.to_owned(), ..Default::default() }).await;
        }
        server.revoke(&key).await;
    }
}

/// One of the webhooks is disabled and enabled, whatever is on its way there.
async fn flap(world: Arc<World>, at: usize) {
    while world.goes_on() {
        for disabled in [true, false] {
            world.replicas[at].set_disabled(&world.hooks[1], disabled).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Claims beside the couriers, and says that it failed, or arrived.
async fn carry(world: Arc<World>, at: usize, mut dice: Dice) {
    let (store, sender) = (world.store(at), Uuid::from_u128(100 + at as u128));
    while world.goes_on() {
        for failing in [false, true] {
            let slots = Slots { channel: Channel::Webhook, failing, free: 8, each: 4, busy: Default::default() };
            for claimed in store.claim_deliveries(sender, slots).await.expect("claim") {
                let attempt = match dice.below(3) {
                    0 => Attempt::Failed { status: Some(500), why: "HTTP 500".to_owned() },
                    1 => Attempt::Refused { why: "no".to_owned() },
                    _ => Attempt::Delivered { status: Some(200) },
                };
                if dice.below(4) > 0 {
                    store.mark_delivery(claimed.id, sender, attempt, 0.5).await.expect("mark");
                }
            }
        }
        store.release_deliveries(sender).await.expect("release");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The same networks, bursts and chains at all replicas.
async fn find(world: Arc<World>, at: usize, mut dice: Dice) {
    let store = world.store(at);
    let application_id = world.application();
    while world.goes_on() {
        let finding = |dice: &mut Dice| {
            let key_id = world.keys[dice.below(KEYS as u64) as usize];
            let chain = world.keys[dice.below(CHAINS) as usize];
            let network = Ipv4Addr::from_bits((10 << 24) + ((dice.below(NETWORKS) as u32) << 8));
            match dice.below(2) {
                0 => Finding { application_id, key_id, chain, sign: Sign::Network(Subnet::of(IpAddr::V4(network))) },
                _ => Finding { application_id, key_id, chain: key_id, sign: Sign::Denied(100) },
            }
        };
        let findings: Arc<[Finding]> = (0..12).map(|_| finding(&mut dice)).collect();
        for noted in store.note_findings(findings).await.expect("note") {
            match noted {
                Noted::Told => world.counts.told.fetch_add(1, Ordering::SeqCst),
                Noted::Held => world.counts.held.fetch_add(1, Ordering::SeqCst),
                Noted::Quiet(_) => 0,
            };
        }
        store.tell_held_back().await.expect("nothing is over");
    }
}

/// Chunks of the same budgets, in whatever order and of whichever spans, and some of it back.
async fn spend(world: Arc<World>, at: usize, mut dice: Dice) {
    let store = world.store(at);
    while world.goes_on() {
        let budgets: Vec<u64> = (0..3).map(|_| dice.below(BUDGETS)).collect();
        let mut asks = Vec::new();
        for budget in &budgets {
            let mut spans: Vec<AskSpan> =
                SPANS.iter().map(|span| AskSpan { span: *span, limit: LIMIT, short: 1, wish: 7 }).collect();
            spans.rotate_left(dice.below(3) as usize);
            spans.truncate(1 + dice.below(3) as usize);
            asks.push(Ask { budget: World::budget(*budget), spans });
        }
        let handed = store.hand_out(asks.clone()).await.expect("hand out");
        let mut unspent = Vec::new();
        for ((budget, ask), grants) in budgets.iter().zip(&asks).zip(&handed.grants) {
            for (span, grant) in ask.spans.iter().zip(grants) {
                let back = grant.chunk / 2;
                let at = SPANS.iter().position(|known| *known == span.span).expect("one of them");
                let kept = i64::try_from(grant.chunk - back).expect("small");
                world.counts.granted[usize::try_from(*budget).expect("small")][at].fetch_add(kept, Ordering::SeqCst);
                unspent.push(Unspent {
                    budget: ask.budget,
                    span: span.span,
                    window_start: grant.window.start,
                    amount: back,
                });
            }
        }
        store.give_back(unspent).await.expect("give back");
    }
}

/// Usage of the same keys.
async fn count(world: Arc<World>, at: usize, mut dice: Dice) {
    let store = world.store(at);
    let (source, now) = (store.begin_usage_source().await.expect("a source"), world.replicas[at].now());
    let application_id = world.application();
    for batch in 1.. {
        if !world.goes_on() {
            return;
        }
        let mut tallied = BTreeMap::new();
        for _ in 0..10 {
            let key_id = Some(world.keys[dice.below(KEYS as u64) as usize]);
            let of = Counted::at(Whose { application_id, key_id }, now);
            let mut counts = [0; Verdict::ALL.len()];
            counts[dice.below(2) as usize] = 1 + dice.below(5);
            tallied.insert(of, Tallied { of, counts, last_valid: Some(now) });
        }
        let tallied: Arc<[Tallied]> = tallied.into_values().collect();
        let calls: u64 = tallied.iter().flat_map(|one| one.counts).sum();
        store.add_usage(source, batch, Arc::clone(&tallied)).await.expect("add");
        world.counts.calls.fetch_add(calls, Ordering::SeqCst);
        if dice.below(3) == 0 {
            store.add_usage(source, batch, tallied).await.expect("once more");
        }
    }
}

/// What is old, and what is not, is forgotten beside all that; and jobs are had by one at a time.
async fn forget(world: Arc<World>, at: usize) {
    let (store, holder) = (world.store(at), Uuid::from_u128(200 + at as u128));
    let (now, rows) = (world.replicas[at].now(), Rows::of(&world.replicas[at]).await);
    let soon = now.checked_add(Duration::from_secs(1)).expect("in range");
    while world.goes_on() {
        rows.change(
            "INSERT INTO nonce (nonce_sha256, expire_time) SELECT randomblob(32), i FROM generate_series(1, 50) i",
        )
        .await;
        rows.change(&format!(
            "INSERT INTO usage_count SELECT 'app', 'key', 'hour', {at} + 10 * i, 'valid', 1 FROM generate_series(1, 50) i \
             ON CONFLICT DO NOTHING"
        ))
        .await;
        store.forget_nonces(now).await.expect("nonces");
        store.forget_usage(now).await.expect("usage");
        store.forget_budgets(now).await.expect("budgets");
        store.forget_signals(now).await.expect("signals");
        store.forget_requests(now).await.expect("requests");
        store.forget_seals(now).await.expect("seals");
        store.compact(soon).await.expect("compact");
        store.forget_deliveries(soon).await.expect("deliveries");
        store.give_up_deliveries(soon, &mut GivenUp::default()).await.expect("give up");
        if store.claim_job("stress", holder, Duration::from_secs(1)).await.expect("claim") {
            store.release_jobs(holder).await.expect("release");
        }
    }
}

/// Of what is for a key and a webhook one is pending, and what is queued is behind it.
const OUT_OF_LINE: &str = "SELECT count(*) FROM (SELECT count(*) FILTER (WHERE state = 'pending') AS pending, \
    count(*) FILTER (WHERE state = 'queued') AS queued FROM delivery GROUP BY destination, order_key) lines \
    WHERE pending > 1 OR (queued > 0 AND pending = 0)";

/// While an event is there, so is every later one.
const HOLES: &str = "SELECT max(seq) - min(seq) + 1 - count(*) FROM event_log";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_at_once_wait_in_no_circle_and_lose_nothing() {
    let mut dice = Dice::new();
    let Some(one) = Server::start_at_server(Setup::default()).await else { return };
    let (good, flapping) = (Receiver::start().await, Receiver::start().await);
    flapping.replies(Reply::Status(500));
    let hooks = [one.hook(&good.url).await, one.hook(&flapping.url).await];
    let template = one.key().await.key.expect("key");
    let rows = Rows::of(&one).await;
    rows.copy_key(&template.key_id, 0..KEYS).await;
    let keys = rows.texts(&format!("SELECT key_id FROM api_key WHERE key_id <> '{}'", template.key_id)).await;
    let keys = keys.iter().map(|key| key.parse().expect("an id")).collect();
    let replicas = [one.beside().await, one.beside().await, one];
    let until = Instant::now() + WHILE;
    let world = Arc::new(World { replicas, hooks, keys, counts: Counts::default(), until });

    let mut all = JoinSet::new();
    for at in 0..3 {
        let mut dice = || Dice::from(dice.below(u64::from(u32::MAX)));
        let world = || Arc::clone(&world);
        all.spawn(change_keys(world(), at));
        all.spawn(carry(world(), at, dice()));
        all.spawn(find(world(), at, dice()));
        all.spawn(spend(world(), at, dice()));
        all.spawn(count(world(), at, dice()));
        all.spawn(forget(world(), at));
        if at < 2 {
            all.spawn(flap(world(), at));
        }
    }
    while let Some(ended) = all.join_next().await {
        ended.expect("none of them is refused");
        assert_eq!(rows.number(OUT_OF_LINE).await, 0);
    }
    let counts = &world.counts;
    println!("{counts:?}");
    assert_eq!(rows.number(HOLES).await, 0);
    let sum = |column: &str| format!("SELECT sum({column}) FROM alert_hour WHERE kind = 'key.suspicious'");
    let passed = (rows.number(&sum("told")).await, rows.number(&sum("held")).await);
    assert_eq!(passed, (counts.told.load(Ordering::SeqCst), counts.held.load(Ordering::SeqCst)));

    // What was told moves on.
    world.replicas[0].set_disabled(&world.hooks[1], false).await;
    flapping.replies(Reply::Status(200));
    world.replicas[0].setup.clock.advance(Duration::from_secs(7200));
    for _ in 0..500 {
        if rows.number("SELECT count(*) FROM delivery WHERE state IN ('pending', 'queued')").await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let open =
        "SELECT state || ' ' || attempts || ' ' || last_error FROM delivery WHERE state IN ('pending', 'queued')";
    assert_eq!(rows.texts(open).await, Vec::<String>::new());

    let hours = "SELECT sum(requests) FROM usage_count WHERE unit = 'hour' AND key_id LIKE 'key_%'";
    let calls = i64::try_from(counts.calls.load(Ordering::SeqCst)).expect("small");
    assert_eq!(rows.number(hours).await, calls, "each batch once");
    for (budget, spans) in counts.granted.iter().enumerate() {
        for (span, kept) in SPANS.iter().zip(spans) {
            let budget = World::budget(budget as u64);
            let sql = format!("SELECT granted FROM budget WHERE budget = '{budget}' AND span = '{span}'");
            assert_eq!(rows.numbers(&sql).await, [kept.load(Ordering::SeqCst)], "{budget} {span}");
        }
    }
    let data = Arc::clone(&world.replicas[0].data);
    drop(world);
    for _ in 0..100 {
        // A session says what it met when it has nothing to do, or ends.
        if rows.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(rows.number(deadlocks).await, 0);
    drop(data);
}
