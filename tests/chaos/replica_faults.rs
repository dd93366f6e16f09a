//! What goes wrong with replicas, and with their ways to the database.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::block_in_place;

use crate::{
    dice::{Deck, Dice},
    fleet::Fleet,
    program::Replica,
    proxy::Flow,
    schedule::{Kinds, Storm},
    space::Lost,
};

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// One, or all, stands still.
    Pause,
    PauseAll,
    /// One, or all, dies and comes back.
    Kill,
    KillAll,
    /// An orderly end.
    End,
    Hold,
    HoldUp,
    HoldDown,
    Cut,
    CloseUp,
    CloseDown,
    Delay,
    /// Packets are lost, of the replica that has a network of its own; or the cable is pulled; or
    /// many of them are lost, and some arrive.
    Lose,
    Unplug,
    Flap,
    /// No replica reaches the database.
    HoldAll,
    CutAll,
}

const FAULTS: [Fault; 22] = [
    Fault::Pause,
    Fault::Pause,
    Fault::Pause,
    Fault::PauseAll,
    Fault::Kill,
    Fault::Kill,
    Fault::Kill,
    Fault::KillAll,
    Fault::End,
    Fault::Hold,
    Fault::Hold,
    Fault::HoldUp,
    Fault::HoldDown,
    Fault::Cut,
    Fault::CloseUp,
    Fault::CloseDown,
    Fault::Delay,
    Fault::Lose,
    Fault::Unplug,
    Fault::Flap,
    Fault::HoldAll,
    Fault::CutAll,
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
        while storm.has(Kinds::Replicas) && !storm.is_over() {
            let fault = deck.draw(dice);
            let (at, hold) = (dice.below(fleet.replicas.len()), storm.hold(dice));
            let wired = fleet.replicas.iter().position(|replica| replica.link.is_some());
            let at = match fault {
                Fault::Lose | Fault::Unplug | Fault::Flap => match wired {
                    Some(wired) => wired,
                    None => continue,
                },
                _ => at,
            };
            println!("{:7.2} s  replica {at}: {fault:?}, {hold:?}", storm.elapsed().as_secs_f64());
            {
                let _underway = fleet.happened.begins("replica", fault);
                happen(fleet, fault, at, hold, dice).await;
                block_in_place(|| fleet.heal());
            }
            tokio::time::sleep(dice.millis(300, 2500)).await;
        }
    }
}

async fn happen(fleet: &Fleet, fault: Fault, at: usize, hold: Duration, dice: &mut Dice) {
    let replica = &fleet.replicas[at];
    match fault {
        Fault::Pause => {
            let _paused = replica.pause();
            tokio::time::sleep(hold).await;
        }
        Fault::PauseAll => {
            let _paused: Vec<_> = fleet.replicas.iter().map(|replica| replica.pause()).collect();
            tokio::time::sleep(hold).await;
        }
        Fault::Kill => {
            block_in_place(|| replica.kill());
            tokio::time::sleep(dice.one_of(&[Duration::ZERO, hold])).await;
            replica.start();
        }
        Fault::KillAll => {
            block_in_place(|| fleet.replicas.iter().for_each(|replica| replica.kill()));
            fleet.replicas.iter().for_each(|replica| replica.start());
        }
        Fault::End => {
            block_in_place(|| replica.end());
            replica.start();
        }
        Fault::Hold | Fault::HoldUp | Fault::HoldDown | Fault::CloseUp | Fault::CloseDown => {
            let (up, down) = match fault {
                Fault::HoldUp => (Flow::Hold, Flow::Pass),
                Fault::HoldDown => (Flow::Pass, Flow::Hold),
                Fault::CloseUp => (Flow::Close, Flow::Pass),
                Fault::CloseDown => (Flow::Pass, Flow::Close),
                _ => (Flow::Hold, Flow::Hold),
            };
            replica.proxy.flow(up, down);
            tokio::time::sleep(hold).await;
            // What was held may be lost, or arrive late.
            if dice.below(2) == 0 {
                replica.proxy.cut();
            }
        }
        Fault::Lose | Fault::Unplug | Fault::Flap => network(replica, fault, hold, dice).await,
        Fault::Delay => {
            let by = dice.millis(20, 500);
            replica.proxy.flow(Flow::Delay(by), Flow::Delay(by / 2));
            tokio::time::sleep(hold).await;
        }
        Fault::Cut => {
            replica.proxy.cut();
            tokio::time::sleep(hold).await;
        }
        Fault::HoldAll | Fault::CutAll => {
            let is_cut = matches!(fault, Fault::CutAll);
            for replica in &fleet.replicas {
                if is_cut { replica.proxy.cut() } else { replica.proxy.hold() }
            }
            tokio::time::sleep(hold).await;
            if dice.below(2) == 0 {
                // One comes back before the others.
                replica.proxy.heal();
                tokio::time::sleep(dice.millis(50, 3000)).await;
            }
        }
    }
}

/// What happens to a real network. It is healed by who called.
async fn network(replica: &Replica, fault: Fault, hold: Duration, dice: &mut Dice) {
    let Some(link) = &replica.link else { return };
    let lost = dice.one_of(&[Lost::Up, Lost::Down, Lost::Both]);
    match fault {
        Fault::Unplug => block_in_place(|| link.pull()),
        Fault::Flap => {
            let begun = Instant::now();
            while begun.elapsed() < hold {
                block_in_place(|| link.lose(lost));
                tokio::time::sleep(dice.millis(20, 400)).await;
                block_in_place(|| link.heal());
                tokio::time::sleep(dice.millis(5, 100)).await;
            }
            return;
        }
        _ => block_in_place(|| link.lose(lost)),
    }
    tokio::time::sleep(hold).await;
}
