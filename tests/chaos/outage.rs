//! There is no database for a while: it was stopped. The replicas go on, and so do their clients.

use std::{sync::Arc, time::Duration};

use portcullis::pb;
use tokio::task::{JoinSet, block_in_place};

use crate::{
    book::Book,
    clients::{self, Applications},
    dice::Dice,
    fleet::Fleet,
    history::Moment,
    recovery,
    watchers::Told,
    wish::{LEASE, Wish},
};

/// For how long verifiers may keep a VALID of the second application.
const KEPT: Duration = Duration::from_millis(700);

/// What everybody must be back within, by themselves: a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// So many acknowledged revocations there are to lose.
const ENOUGH: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_for_a_moment_nothing_is_answered_beyond_the_lease_and_nothing_is_lost() {
    away_for(LEASE * 3 / 2).await;
}

/// Which it takes: it is run by `tests/full.d/outage`, and not by each run.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_for_a_minute_nothing_is_answered_beyond_the_lease_and_nothing_is_lost() {
    away_for(Duration::from_mins(1)).await;
}

async fn away_for(away: Duration) {
    let fleet = Arc::new(Fleet::start(&Wish::default()).await);
    let applications = Applications { plain: fleet.application.clone(), kept: fleet.make_application(KEPT).await };
    let (book, mut tasks, mut watchers) = (Arc::new(Book::new()), JoinSet::new(), Vec::new());
    for at in 0..fleet.replicas.len() {
        let told = Told::begin(&fleet, &book, at).await;
        tasks.spawn(Arc::clone(&told).run(Arc::clone(&fleet), Arc::clone(&book), Dice::new(1, 300 + at as u64)));
        watchers.push(told);
    }
    clients::begin(&fleet, &book, &applications, 1, &mut tasks);
    let before = until_enough(&book).await;

    block_in_place(|| fleet.primary().stop());
    let stopped = book.now();
    tokio::time::sleep(away).await;
    let back = book.now();
    block_in_place(|| fleet.primary().start());
    recovery::answers_again(&fleet, SOON).await;
    book.calm_down();
    assert_eq!(recovery::works_again(&fleet, &book, SOON).await, [""; 0]);
    book.close();
    tasks.join_all().await;

    let lapsed = stopped + Moment::try_from(LEASE.as_nanos()).expect("short");
    let beyond = book.verdicts(lapsed, back);
    assert!(beyond.is_empty(), "{beyond:?} a lease after the database was stopped, and before it was started");
    assert!(book.failures("FRESHNESS_UNPROVEN") > 0, "nobody asked");
    let runs: Vec<_> = fleet.replicas.iter().map(|replica| replica.run()).collect();
    assert_eq!(runs, [1; 3], "nobody started a replica anew");
    is_kept(&fleet, &book, &watchers).await;
    println!("{} revocations acknowledged before it, {} in all", before, book.revoked().len());
}

/// Revocations that somebody was promised. Says how many.
async fn until_enough(book: &Book) -> usize {
    for _ in 0..600 {
        let revoked = book.revoked().len();
        if revoked >= ENOUGH {
            return revoked;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} revocations, and nothing is wrong yet", book.revoked().len());
}

/// All that was acknowledged: at every replica, by what clients saw, and by what watchers were told.
async fn is_kept(fleet: &Arc<Fleet>, book: &Arc<Book>, watchers: &[Arc<Told>]) {
    let (settled, acknowledged) = (book.now(), book.revoked());
    let head = fleet.create(0, "last").await.expect("create").revision;
    recovery::sweep(fleet, book).await;
    for known in book.keys().iter().filter(|known| acknowledged.iter().any(|id| **id == *known.id)) {
        for at in 0..fleet.replicas.len() {
            assert_eq!(fleet.verdict(at, &known.secret).await.expect("verify"), pb::Verdict::Revoked, "{}", known.id);
        }
    }
    let mut wrong = book.judge(settled);
    for told in watchers {
        told.finish(fleet, book, 0, head).await;
        wrong.extend(told.judge(&acknowledged));
    }
    wrong.extend(block_in_place(|| fleet.history_is_whole()));
    assert_eq!(wrong, [""; 0]);
}
