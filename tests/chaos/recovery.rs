//! Whether a deployment works again after faults, and how soon.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::pb;

use crate::{book::Book, fleet::Fleet, history::Verdict};

/// Every replica, within a bound. Says how soon.
pub(crate) async fn answers_again(fleet: &Fleet, bound: Duration) {
    let begun = Instant::now();
    for at in 0..fleet.replicas.len() {
        let answers = tokio::time::timeout(bound.saturating_sub(begun.elapsed()), fleet.answers(at)).await;
        assert!(answers.is_ok(), "replica {at} answers nothing {bound:?} after:\n{}", fleet.replicas[at].said(20));
    }
    println!("all answer again {:.2} s after the faults", begun.elapsed().as_secs_f64());
}

/// Through each replica, within a bound: a new key is VALID everywhere, and REVOKED everywhere
/// when Revoke says so.
///
/// Says what was answered otherwise: whoever has that need not wait for more.
pub(crate) async fn works_again(fleet: &Arc<Fleet>, book: &Arc<Book>, bound: Duration) -> Vec<String> {
    let begun = Instant::now();
    for at in 0..fleet.replicas.len() {
        loop {
            match cycle(fleet, book, at).await {
                Some(wrong) if wrong.is_empty() => break,
                Some(wrong) => return wrong,
                None => {}
            }
            let said = fleet.replicas[at].said(20);
            assert!(begun.elapsed() < bound, "nothing works at replica {at} {bound:?} after the faults:\n{said}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("replica {at} works again {:.2} s after the faults", begun.elapsed().as_secs_f64());
    }
    println!("everything works again {:.2} s after the faults", begun.elapsed().as_secs_f64());
    Vec::new()
}

/// None where something was not answered.
async fn cycle(fleet: &Arc<Fleet>, book: &Arc<Book>, at: usize) -> Option<Vec<String>> {
    let mut wrong = Vec::new();
    let mut is = |verdict: Verdict, expected, other| {
        if verdict != expected {
            wrong.push(format!("{verdict:?} at replica {other}, and {expected:?} was confirmed at replica {at}"));
        }
    };
    let known = book.create(fleet, at, &fleet.application, None).await?;
    for other in 0..fleet.replicas.len() {
        is(book.verify(fleet, other, &known).await?, Verdict::Valid, other);
    }
    book.revoke(fleet, at, &known, pb::RevokeWait::Unspecified).await.then_some(())?;
    for other in 0..fleet.replicas.len() {
        is(book.verify(fleet, other, &known).await?, Verdict::Revoked, other);
    }
    Some(wrong)
}

/// Every key at every replica, when all has settled.
pub(crate) async fn sweep(fleet: &Arc<Fleet>, book: &Arc<Book>) {
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
