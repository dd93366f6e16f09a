use std::collections::HashSet;

use super::{MOST_NETWORKS, MOST_NETWORKS_OF_A_KEY, Signals, seen};
use crate::domain::{id::KeyId, signal::VOLUME_FLOOR, time::Timestamp, usage::Whose};

/// Once a minute: what was sent may be sent again, and what nobody uses goes.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    minute: i64,
    day: i64,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Keys with many calls in this hour, and their chains.
    pub(super) busy: Vec<(Whose, KeyId)>,
    /// Keys with refused calls, which the watch may not have heard of.
    pub(super) denied: Vec<KeyId>,
}

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 3600;
/// Of the calls that are worth a look into the counts of all replicas: there may be ten.
const BUSY: u64 = VOLUME_FLOOR / 10;

impl Sweep {
    /// Whether a minute has begun, and if so, whether a day has.
    pub(super) fn is_due(&mut self, now: Timestamp) -> Option<bool> {
        let [minute, day] = [MINUTE, DAY].map(|length| now.seconds().div_euclid(length));
        let is_another_day = std::mem::replace(&mut self.day, day) != day;
        (std::mem::replace(&mut self.minute, minute) != minute).then_some(is_another_day)
    }
}

/// Takes a moment where many keys are in memory: not for a thread that serves calls.
pub(super) fn round(signals: &Signals, now: Timestamp, is_another_day: bool) -> Swept {
    // All networks are met again once a day, so that the database knows when they were seen
    // last, and when they get too many.
    let networks = signals.shared.networks.pin();
    if is_another_day || networks.len() >= MOST_NETWORKS / 4 * 3 {
        networks.clear();
    }
    let (hour, mut swept, mut full) = (seen::hour(now), Swept::default(), HashSet::new());
    let keys = signals.shared.keys.pin();
    for (id, seen) in &keys {
        let (last, calls) = seen.calls();
        if seen.sweep() >= MOST_NETWORKS_OF_A_KEY {
            full.insert(seen.chain);
        }
        if seen.has_denied() {
            swept.denied.push(*id);
        } else if last.saturating_add(1) < hour {
            keys.remove(id);
            continue;
        }
        if last == hour && u64::from(calls) >= BUSY {
            swept.busy.push((Whose { application_id: seen.application_id, key_id: Some(*id) }, seen.chain));
        }
    }
    if !full.is_empty() {
        // They begin anew; the database knows which of them are known.
        networks.retain(|(chain, _)| !full.contains(chain));
    }
    swept
}
