//! The clients of a run: each goes on through every fault, until the book is closed.

use std::{sync::Arc, time::Duration};

use portcullis::pb;
use tokio::task::JoinSet;

use crate::{book::Book, dice::Dice, fleet::Fleet};

/// Whose keys are made: of one application nothing is kept, of the other one verifiers keep answers.
#[derive(Debug, Clone)]
pub(crate) struct Applications {
    pub(crate) plain: String,
    pub(crate) kept: String,
}

/// For how long verifiers may keep a VALID of the second one.
const KEPT: Duration = Duration::from_millis(700);

impl Applications {
    pub(crate) async fn of(fleet: &Fleet) -> Self {
        Self { plain: fleet.application.clone(), kept: fleet.make_application(KEPT).await }
    }
}

/// Who make and revoke, of each replica. All writers stand in one line for the head of the log: of many more
/// each waits there, on a slow machine, for longer than the database lets it, and hardly any gets an answer.
const AUTHORS: u64 = 4;

/// Mostly somebody is waited for, since else nothing is promised.
const WAITS: [pb::RevokeWait; 5] = [
    pb::RevokeWait::Unspecified,
    pb::RevokeWait::Unspecified,
    pb::RevokeWait::Replicas,
    pb::RevokeWait::Replicas,
    pb::RevokeWait::None,
];

/// Of each replica: those, and two that ask.
pub(crate) fn begin(
    fleet: &Arc<Fleet>,
    book: &Arc<Book>,
    applications: &Applications,
    seed: u64,
    tasks: &mut JoinSet<()>,
) {
    for at in 0..fleet.replicas.len() {
        let part = 1000 + 100 * at as u64;
        for n in 0..AUTHORS {
            let dice = Dice::new(seed, part + n);
            tasks.spawn(author(Arc::clone(fleet), Arc::clone(book), applications.clone(), dice, at));
        }
        for n in AUTHORS..AUTHORS + 2 {
            tasks.spawn(asker(Arc::clone(fleet), Arc::clone(book), Dice::new(seed, part + n), at));
        }
    }
    tasks.spawn(keeper(Arc::clone(fleet), Arc::clone(book)));
}

/// Makes keys, asks everybody about them, revokes most, and asks everybody again at once.
async fn author(fleet: Arc<Fleet>, book: Arc<Book>, of: Applications, mut dice: Dice, home: usize) {
    let all = fleet.replicas.len();
    while !book.is_calm() {
        let application = if dice.below(4) == 0 { &of.kept } else { &of.plain };
        let ttl = (dice.below(12) == 0).then(|| dice.millis(1500, 20_000));
        let Some(known) = book.create(&fleet, home, application, ttl).await else {
            tokio::time::sleep(dice.millis(20, 200)).await;
            continue;
        };
        ask_all(&fleet, &book, &known).await;
        // Some stay, and some end by themselves.
        if ttl.is_some() || dice.below(10) == 0 {
            continue;
        }
        let wait = dice.one_of(&WAITS);
        // Mostly where it was made, else at another; and again until somebody says that it is done.
        let mut at = if dice.below(3) == 0 { dice.below(all) } else { home };
        for _ in 0..20 {
            if book.revoke(&fleet, at, &known, wait).await || book.is_calm() {
                break;
            }
            at = dice.below(all);
            tokio::time::sleep(dice.millis(10, 300)).await;
        }
        ask_all(&fleet, &book, &known).await;
        tokio::time::sleep(dice.millis(0, 30)).await;
    }
}

/// At the same time, so that each is asked at the first moment.
async fn ask_all(fleet: &Arc<Fleet>, book: &Arc<Book>, known: &crate::book::Known) {
    let mut asked = JoinSet::new();
    for at in 0..fleet.replicas.len() {
        let (fleet, book, known) = (Arc::clone(fleet), Arc::clone(book), known.clone());
        asked.spawn(async move { book.verify(&fleet, at, &known).await });
    }
    asked.join_all().await;
}

/// Asks about the newest keys most.
async fn asker(fleet: Arc<Fleet>, book: Arc<Book>, mut dice: Dice, at: usize) {
    while !book.is_over() {
        let among = dice.one_of(&[2, 4, 8, 1000]);
        if let Some(known) = book.recent(dice.below(among)) {
            book.verify(&fleet, at, &known).await;
        }
        tokio::time::sleep(dice.millis(5, 40)).await;
    }
}

/// Replaces processes that end by themselves.
async fn keeper(fleet: Arc<Fleet>, book: Arc<Book>) {
    while !book.is_over() {
        for replica in &fleet.replicas {
            if let Some(ended) = replica.tend() {
                println!("replica {} ended by itself, {ended}:\n{}", replica.number, replica.said(3));
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
