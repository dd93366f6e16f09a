//! A rolling upgrade under load: the schema first, and then one replica after the other. Two programs serve
//! side by side meanwhile. `PORTCULLIS_CHAOS_OLDER` names the one before; without it a program is replaced by
//! itself, which is how a deployment is started anew.

use tokio::task::block_in_place;

use crate::{program, under_load::UnderLoad, wish::Wish};

/// So many acknowledged revocations there are with each mixture of programs.
const ENOUGH: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_replaced_one_by_one_by_a_newer_program_and_what_was_revoked_stays_so() {
    let newer = program::of_this_build();
    let older = std::env::var_os("PORTCULLIS_CHAOS_OLDER").map_or_else(|| newer.clone(), Into::into);
    let wish = Wish { program: older, ..Wish::default() };
    let mut load = UnderLoad::begin(&wish).await;
    load.revocations(ENOUGH).await;
    block_in_place(|| load.fleet.migrate(&newer));
    load.revocations(ENOUGH).await;
    for at in 0..load.fleet.replicas.len() {
        block_in_place(|| {
            let ended = load.fleet.replicas[at].end().expect("it was running");
            assert!(ended.success(), "replica {at} ended with {ended}:\n{}", load.fleet.replicas[at].said(20));
        });
        load.fleet.replicas[at].becomes(&newer);
        load.fleet.replicas[at].start();
        load.fleet.answers(at).await;
        let revoked = load.revocations(ENOUGH).await;
        println!("replica {at} is the newer program; {revoked} revocations acknowledged");
    }
    load.all_is_well().await;
    let runs: Vec<_> = load.fleet.replicas.iter().map(|replica| replica.run()).collect();
    assert_eq!(runs, [2; 3], "no replica ended by itself");
    load.is_kept().await;
}
