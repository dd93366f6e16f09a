//! What goes wrong with the database and its standby.

use std::{sync::Arc, time::Duration};

use tokio::task::block_in_place;

use crate::{
    clock_faults,
    dice::{Deck, Dice},
    fleet::Fleet,
    postgres::{Backend, Sync},
    schedule::{Kinds, Storm},
};

#[derive(Debug, Clone, Copy)]
enum Fault {
    PauseBackend,
    PauseSender,
    Pause,
    PauseStandby,
    /// The server ends all its backends, and recovers.
    KillBackend,
    /// As that; and what commits waited for the standby are there when it has, and their callers are gone.
    KillSender,
    /// All at once, then a start.
    Kill,
    KillStandby,
    /// Fast, and a start.
    Stop,
    /// All sessions of the replicas.
    Terminate,
    /// Somebody holds the row that all mutations need.
    Lock,
    /// The primary dies, and the standby takes its place.
    Failover,
    /// The standby takes its place while the primary lives, and a replica stays with that one.
    SplitBrain,
}

const FAULTS: [Fault; 15] = [
    Fault::PauseBackend,
    Fault::PauseBackend,
    Fault::PauseSender,
    Fault::PauseSender,
    Fault::Pause,
    Fault::PauseStandby,
    Fault::KillBackend,
    Fault::KillSender,
    Fault::Kill,
    Fault::KillStandby,
    Fault::Stop,
    Fault::Terminate,
    Fault::Lock,
    Fault::Failover,
    Fault::SplitBrain,
];

/// Those of a run.
#[derive(Debug)]
pub(crate) struct Faults {
    dice: Dice,
    deck: Deck<Fault>,
}

impl Faults {
    pub(crate) fn new(dice: Dice) -> Self {
        Self { dice, deck: Deck::of(&FAULTS) }
    }

    /// One after the other, until the storm is over. All is well when it returns.
    pub(crate) async fn run(&mut self, fleet: &Arc<Fleet>, storm: Storm) {
        let Self { dice, deck } = self;
        // Faults of two kinds, one beside the other, and not always.
        tokio::time::sleep(dice.millis(0, 3000)).await;
        while storm.has(Kinds::Database) && !storm.is_over() {
            let fault = deck.draw(dice);
            let hold = storm.hold(dice);
            println!("{:7.2} s  database: {fault:?}, {hold:?}", storm.elapsed().as_secs_f64());
            {
                let _underway = fleet.happened.begins("database", fault);
                happen(fleet, fault, hold, dice).await;
            }
            // Long enough that there is something to lose.
            tokio::time::sleep(dice.millis(1000, 4000)).await;
        }
    }
}

async fn happen(fleet: &Arc<Fleet>, fault: Fault, hold: Duration, dice: &mut Dice) {
    let (primary, standby) = (fleet.primary(), fleet.standby().expect("a standby"));
    match fault {
        Fault::PauseBackend | Fault::PauseSender | Fault::Pause | Fault::PauseStandby => {
            let which = Backend::Client(dice.below(30));
            let _paused = block_in_place(|| match fault {
                Fault::PauseBackend => primary.pause_backend(which),
                Fault::PauseSender => primary.pause_backend(Backend::WalSender),
                Fault::PauseStandby => Some(standby.pause()),
                _ => Some(primary.pause()),
            });
            tokio::time::sleep(hold).await;
        }
        Fault::KillBackend | Fault::KillSender => {
            let client = Backend::Client(dice.below(30));
            let which = if matches!(fault, Fault::KillSender) { Backend::WalSender } else { client };
            block_in_place(|| primary.kill_backend(which));
        }
        Fault::Kill | Fault::Stop => {
            block_in_place(|| if matches!(fault, Fault::Kill) { primary.kill9() } else { primary.stop() });
            tokio::time::sleep(dice.one_of(&[Duration::ZERO, hold])).await;
            block_in_place(|| primary.start());
        }
        Fault::KillStandby => {
            block_in_place(|| standby.kill9());
            tokio::time::sleep(hold).await;
            block_in_place(|| standby.start());
        }
        Fault::Terminate => {
            block_in_place(|| primary.terminate_backends());
        }
        Fault::Lock => {
            let sql = format!("BEGIN; SELECT 1 FROM log_head FOR UPDATE; SELECT pg_sleep({})", hold.as_secs_f64());
            // Faults beside it may end it early.
            let _ = block_in_place(|| fleet.try_psql(&sql));
        }
        Fault::Failover | Fault::SplitBrain => {
            let stays = matches!(fault, Fault::SplitBrain).then(|| dice.below(fleet.replicas.len()));
            if dice.below(2) == 0 {
                // The machine that takes over has another time of day.
                let ahead = clock_faults::near(dice);
                println!("           whose time of day is {ahead} s ahead");
                fleet.step_standby_to(ahead);
            }
            fail_over(fleet, stays, hold).await;
        }
    }
    block_in_place(|| fleet.is_followed());
}

/// With a replica that stays with what was the primary, for some time.
async fn fail_over(fleet: &Arc<Fleet>, stays: Option<usize>, hold: Duration) {
    let old = fleet.primary();
    block_in_place(|| {
        if stays.is_none() {
            old.kill9();
        }
        let new = fleet.promote();
        for replica in fleet.replicas.iter().filter(|replica| Some(replica.number) != stays) {
            replica.proxy.lead_to(new.port);
        }
    });
    if stays.is_some() {
        tokio::time::sleep(hold).await;
    }
    block_in_place(|| {
        fleet.lead_to(&fleet.primary());
        if stays.is_some() {
            old.kill9();
        }
        old.remove();
        fleet.follow(Sync::Yes);
    });
}
