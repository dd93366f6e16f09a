//! Everything at once, by a seed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::pb;
use tokio::task::{JoinSet, block_in_place};

use crate::{
    book::Book,
    clients::{self, Applications},
    clock_faults, database_faults,
    dice::{Dice, seed},
    fleet::Fleet,
    history::Verdict,
    nonces::Replays,
    replica_faults,
    schedule::Length,
    spenders::Spent,
    staff::Staff,
    watchers::Told,
    wish::{LEASE, LONGER, Wish},
};

/// For how long verifiers may keep a VALID of the second application.
const KEPT: Duration = Duration::from_millis(700);

/// When all is well again, everything must work within this: a debug build on a busy machine.
const BOUND: Duration = Duration::from_secs(45);

/// Says the seed once more where the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("repeat its faults by PORTCULLIS_CHAOS_SEED={}", self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_client_may_ever_see_is_not_seen_whatever_goes_wrong() {
    let seed = Seed(seed());
    println!("PORTCULLIS_CHAOS_SEED={}", seed.0);
    // Who waits for a standby, or for a primary, that is gone must not do so for longer than a run.
    let database = [
        "wal_sender_timeout = '10s'",
        "wal_receiver_timeout = '10s'",
        "wal_retrieve_retry_interval = '200ms'",
        "authentication_timeout = '5s'",
    ];
    let wish = Wish { leases: vec![LEASE, LONGER], link: true, ..Wish::default().database(&database) };
    // The doorbell is a hint: without it everything holds, too.
    let wish = if seed.0.is_multiple_of(3) { wish.with(&["--no-doorbell"]) } else { wish };
    let fleet = Arc::new(Fleet::start(&wish).await);
    let applications = Applications { plain: fleet.application.clone(), kept: fleet.make_application(KEPT).await };
    let length = Length::new();
    let book = Arc::new(Book::new());
    let (mut tasks, replays, spent) = (JoinSet::new(), Arc::new(Replays::default()), Arc::new(Spent::default()));
    let staff = Arc::new(Staff::default());
    let mut watchers = Vec::new();
    for at in 0..fleet.replicas.len() {
        let told = Told::begin(&fleet, &book, at).await;
        tasks.spawn(Arc::clone(&told).run(Arc::clone(&fleet), Arc::clone(&book), Dice::new(seed.0, 300 + at as u64)));
        watchers.push(told);
    }
    spent.begin(&fleet, &book, seed.0, &mut tasks).await;
    clients::begin(&fleet, &book, &applications, seed.0, &mut tasks);
    for n in 0..4 {
        let dice = Dice::new(seed.0, 500 + n);
        tasks.spawn(Arc::clone(&staff).run(Arc::clone(&fleet), Arc::clone(&book), dice));
    }
    tasks.spawn(Arc::clone(&staff).insist(Arc::clone(&fleet), Arc::clone(&book), Dice::new(seed.0, 510)));
    tasks.spawn(Arc::clone(&replays).run(Arc::clone(&fleet), Arc::clone(&book), Dice::new(seed.0, 400)));

    tokio::join!(
        replica_faults::run(&fleet, length, Dice::new(seed.0, 1)),
        database_faults::run(&fleet, length, Dice::new(seed.0, 2)),
        clock_faults::run(&fleet, length, Dice::new(seed.0, 3)),
    );
    println!("{:7.2} s  all is well", length.elapsed().as_secs_f64());
    book.calm_down();
    works_again(&fleet, &book).await;
    book.close();
    tasks.join_all().await;

    let settled = book.now();
    let head = fleet.create(0, "last").await.expect("create").revision;
    sweep(&fleet, &book).await;
    println!("{}", fleet.faults());
    println!("{} service accounts came and went", staff.count());
    let mut wrong = book.judge(settled);
    wrong.extend(replays.judge(&fleet));
    wrong.extend(spent.judge(fleet.stepped_since()));
    let acknowledged = book.revoked();
    for told in &watchers {
        told.finish(&fleet, &book, 0, head).await;
        wrong.extend(told.judge(&acknowledged));
        if told.items() != watchers[0].items() {
            wrong.push("two watchers were told different histories".to_owned());
        }
    }
    wrong.extend(block_in_place(|| fleet.history_is_whole()));
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

/// Through each replica, within a bound: a new key is VALID everywhere, and REVOKED everywhere
/// when Revoke says so.
async fn works_again(fleet: &Arc<Fleet>, book: &Arc<Book>) {
    let begun = Instant::now();
    for at in 0..fleet.replicas.len() {
        while cycle(fleet, book, at).await.is_none() {
            let said = fleet.replicas[at].said(20);
            assert!(begun.elapsed() < BOUND, "nothing works at replica {at} {BOUND:?} after the faults:\n{said}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("replica {at} works again {:.2} s after the faults", begun.elapsed().as_secs_f64());
    }
    println!("everything works again {:.2} s after the faults", begun.elapsed().as_secs_f64());
}

async fn cycle(fleet: &Arc<Fleet>, book: &Arc<Book>, at: usize) -> Option<()> {
    let known = book.create(fleet, at, &fleet.application, None).await?;
    for other in 0..fleet.replicas.len() {
        (book.verify(fleet, other, &known).await? == Verdict::Valid).then_some(())?;
    }
    book.revoke(fleet, at, &known, pb::RevokeWait::Unspecified).await.then_some(())?;
    for other in 0..fleet.replicas.len() {
        (book.verify(fleet, other, &known).await? == Verdict::Revoked).then_some(())?;
    }
    Some(())
}

/// Every key at every replica, when all has settled.
async fn sweep(fleet: &Arc<Fleet>, book: &Arc<Book>) {
    for at in 0..fleet.replicas.len() {
        for known in book.keys() {
            for _ in 0..20 {
                if book.verify(fleet, at, &known).await.is_some() {
                    break;
                }
            }
        }
    }
}
