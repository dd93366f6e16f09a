//! Commits that were acknowledged, and that no standby has.

use std::{sync::Arc, time::Duration};

use portcullis::pb;
use tokio::task::{JoinHandle, block_in_place};
use tonic::Status;

use crate::{
    fleet::Fleet,
    postgres::{Backend, Node},
    wish::{LEASE, Wish},
};

/// Far longer than anything in here.
const PATIENT: Duration = Duration::from_secs(25);

type Revoking = JoinHandle<Result<pb::RevokeKeyResponse, Status>>;

/// A revocation whose commit was cancelled while it waited for the standby, which hears of nothing
/// any more: the server has told that it is done, and the caller waits at the barrier.
fn cancelled(fleet: &Arc<Fleet>, key: &pb::Key) -> Revoking {
    let revoking = {
        let (fleet, key) = (Arc::clone(fleet), key.clone());
        tokio::spawn(async move { fleet.revoke_within(0, &key, PATIENT).await })
    };
    block_in_place(|| fleet.cancel_mutation());
    revoking
}

/// What its caller has heard so far; it waits no longer.
async fn told_until_now(revoking: Revoking) -> Option<Result<pb::RevokeKeyResponse, Status>> {
    if revoking.is_finished() {
        return Some(revoking.await.expect("a task"));
    }
    revoking.abort();
    None
}

/// Commits that wait for the standby.
fn waiting(primary: &Node) {
    primary.until("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
}

/// An operator who wants a database back that hangs cancels whatever waits, the syncs as well.
#[tokio::test(flavor = "multi_thread")]
async fn commits_that_are_all_cancelled_confirm_nothing_where_the_role_may_see_the_standbys() {
    let fleet = Arc::new(Fleet::start(&Wish::pair()).await);
    block_in_place(|| fleet.psql("GRANT pg_read_all_stats TO portcullis"));
    let (key, _) = fleet.key().await;
    let _paused = block_in_place(|| fleet.primary().pause_backend(Backend::WalSender)).expect("a walsender");
    let revoking = cancelled(&fleet, &key);
    for _ in 0..20 {
        block_in_place(|| {
            fleet.psql("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        });
        tokio::time::sleep(LEASE / 10).await;
    }
    let answer = told_until_now(revoking).await;
    assert!(!matches!(answer, Some(Ok(_))), "no standby has it");
}

/// The revocation is gone with its database, and its number is another mutation's.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_of_another_run_of_the_database_confirms_nothing() {
    let fleet = Arc::new(Fleet::start(&Wish::pair()).await);
    let (key, secret) = fleet.key().await;
    let paused = block_in_place(|| fleet.primary().pause_backend(Backend::WalSender)).expect("a walsender");
    let revoking = cancelled(&fleet, &key);
    block_in_place(|| {
        fleet.primary().kill9();
        let new = fleet.promote();
        fleet.lead_to(&new);
    });
    drop(paused);
    for at in 0..2 {
        fleet.answers(at).await;
    }
    // As many as there can have been before: one of them has its number.
    for _ in 0..3 {
        fleet.key().await;
    }
    tokio::time::sleep(2 * LEASE).await;
    let verdict = fleet.verdict(1, &secret).await.expect("verify");
    let answer = told_until_now(revoking).await;
    assert!(!matches!(answer, Some(Ok(_))) || verdict == pb::Verdict::Revoked, "OK, and {verdict:?}");
    fleet.revoke(1, &key).await.expect("a repeat revokes it");
    assert_eq!(fleet.verdict(0, &secret).await.expect("verify"), pb::Verdict::Revoked);
}

/// An empty list lets everybody go who waits, and a moment later all looks as it did.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_standbys_that_was_empty_for_a_moment_confirms_nothing() {
    let fleet = Arc::new(Fleet::start(&Wish::pair()).await);
    let (key, _) = fleet.key().await;
    let standby = fleet.standby().expect("a standby");
    let _paused = block_in_place(|| fleet.primary().pause_backend(Backend::WalSender)).expect("a walsender");
    let revoking = cancelled(&fleet, &key);
    for _ in 0..3 {
        block_in_place(|| {
            waiting(&fleet.primary());
            fleet.primary().set("synchronous_standby_names", "");
            // Until who waited was let go: the checkpointer does that.
            fleet
                .primary()
                .until("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep')");
            fleet.primary().set("synchronous_standby_names", &standby.name);
        });
        tokio::time::sleep(LEASE / 4).await;
    }
    let answer = told_until_now(revoking).await;
    assert!(!matches!(answer, Some(Ok(_))), "no standby has it");
}
