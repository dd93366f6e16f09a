//! Times of day that are stepped: the database's, its standby's, replicas', and all together.

use std::sync::Arc;

use crate::{dice::Dice, fleet::Fleet, schedule::Storm};

#[derive(Debug, Clone, Copy)]
enum Fault {
    Database,
    /// Of the server that may be the primary next.
    Standby,
    /// One replica's.
    Replica,
    Replicas,
    /// As on machines that ask the same server for the time.
    Together,
}

const FAULTS: [Fault; 7] = [
    Fault::Database,
    Fault::Database,
    Fault::Database,
    Fault::Standby,
    Fault::Replica,
    Fault::Replicas,
    Fault::Together,
];

/// Seconds ahead of the machine's time. The clients' own is not stepped, and what they sign must be
/// near the database's: steps of an hour are in `clocks`.
const NEAR: [i64; 14] = [-100, -30, -5, -5, -2, -2, 0, 0, 2, 2, 5, 5, 30, 100];
/// A replica goes by the database's time, so that its own may be anything.
const FAR: [i64; 9] = [-86_400, -3_600, -100, -3, 0, 3, 100, 3_600, 86_400];

/// One after the other, until the time is over. All is well when it returns.
pub(crate) async fn run(fleet: &Arc<Fleet>, storm: Storm, dice: &mut Dice) {
    // What comes first is seen with the machine's time.
    tokio::time::sleep(dice.millis(3000, 6000)).await;
    while !storm.is_over() {
        let fault = dice.one_of(&FAULTS);
        let (at, near, far) = (dice.below(fleet.replicas.len()), near(dice), dice.one_of(&FAR));
        println!("{:7.2} s  times of day: {fault:?}, {near} s or {far} s, replica {at}", storm.elapsed().as_secs_f64());
        drop(fleet.happened.begins("time of day", fault));
        match fault {
            Fault::Database => fleet.step_primary_to(near),
            Fault::Standby => fleet.step_standby_to(near),
            Fault::Replica => fleet.replicas[at].time_of_day.step_to(far),
            Fault::Replicas => fleet.step_replicas_to(far),
            Fault::Together => {
                fleet.step_primary_to(near);
                fleet.step_replicas_to(near);
            }
        }
        tokio::time::sleep(dice.millis(500, 6000)).await;
        if dice.below(2) == 0 {
            set_right(fleet);
            tokio::time::sleep(dice.millis(100, 3000)).await;
        }
    }
    set_right(fleet);
}

pub(crate) fn near(dice: &mut Dice) -> i64 {
    dice.one_of(&NEAR)
}

/// All clocks show the same.
fn set_right(fleet: &Fleet) {
    fleet.step_primary_to(0);
    fleet.step_standby_to(0);
    fleet.step_replicas_to(0);
}
