//! Two restores of one history give its numbers out twice: what an archive holds must be of the branch that the
//! backup goes on with.

use uuid::Uuid;

use super::{NotRecovered, archive::Part};
use crate::{
    domain::{event::Position, id::Revision},
    guard::{self, Guard},
    store::{Restored, Resume, Store},
};

/// What the backup ends with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch {
    holds: Revision,
    /// None where it was forgotten.
    last: Option<Uuid>,
}

impl Branch {
    pub(super) async fn of(store: &Store, restored: &Restored) -> Result<Self, NotRecovered> {
        Ok(Self { holds: restored.holds, last: store.event_at(restored.holds).await? })
    }

    /// The parts that are of it.
    pub(super) async fn own<'a>(&self, store: &Store, parts: &'a [Part]) -> Result<Vec<&'a Part>, NotRecovered> {
        let mut own = Vec::new();
        for part in parts {
            // Up to its last place that the backup holds they are one history, or are not.
            let held = part.places.iter().rfind(|place| place.revision <= self.holds);
            let forked = match held {
                Some(place) => store.resume(*place).await? == Resume::Forked,
                None => false,
            };
            if !(forked || self.gave_up(part) || is_overwritten(part, parts)) || !guard::on(Guard::RestoredBranch) {
                own.push(part);
            }
        }
        Ok(own)
    }

    /// Whether it goes on behind what the backup ends with, and was written before: an earlier restore gave it
    /// up. The ids of events begin with the time.
    fn gave_up(&self, part: &Part) -> bool {
        let next = part.places.iter().find(|place| place.revision > self.holds);
        let times = next.and_then(|next| millis(next.event_id)).zip(self.last.and_then(millis));
        times.is_some_and(|(next, last)| next < last)
    }
}

/// Apart from this, ids of one history are in the order of its revisions: a clock may be set back a little.
const SET_BACK: u64 = 5_000;

/// Whether another part holds, at one of its revisions or before it, what was written later: the numbers were
/// given out once more, by a restore to before them.
fn is_overwritten(part: &Part, parts: &[Part]) -> bool {
    let others = || parts.iter().flat_map(|part| &part.places);
    part.places.iter().any(|place| {
        let Some(time) = millis(place.event_id) else { return false };
        let later = |other: &Position| millis(other.event_id).is_some_and(|other| other > time + SET_BACK);
        others().any(|other| other.revision <= place.revision && later(other))
    })
}

/// Of a UUID of version 7; of others nothing is known.
fn millis(id: Uuid) -> Option<u64> {
    (id.get_version_num() == 7).then(|| id.as_u64_pair().0 >> 16)
}
