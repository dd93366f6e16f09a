//! There is no database for a while: it was stopped. The replicas go on, and so do their clients.

use std::time::Duration;

use tokio::task::block_in_place;

use crate::{
    history::Moment,
    under_load::UnderLoad,
    wish::{LEASE, Wish},
};

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
    let mut load = UnderLoad::begin(&Wish::default()).await;
    let before = load.revocations(ENOUGH).await;

    block_in_place(|| load.fleet.primary().stop());
    let stopped = load.book.now();
    tokio::time::sleep(away).await;
    let back = load.book.now();
    block_in_place(|| load.fleet.primary().start());
    load.all_is_well().await;

    let lapsed = stopped + Moment::try_from(LEASE.as_nanos()).expect("short");
    let beyond = load.book.verdicts(lapsed, back);
    assert!(beyond.is_empty(), "{beyond:?} a lease after the database was stopped, and before it was started");
    assert!(load.book.failures("FRESHNESS_UNPROVEN") > 0, "nobody asked");
    let runs: Vec<_> = load.fleet.replicas.iter().map(|replica| replica.run()).collect();
    assert_eq!(runs, [1; 3], "nobody started a replica anew");
    load.is_kept().await;
    println!("{} revocations acknowledged before it, {} in all", before, load.book.revoked().len());
}
