//! Two restores of one history give its numbers out twice: what an archive holds must be of the branch that the
//! backup goes on with.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{NotRecovered, archive::Part};
use crate::{
    domain::{event::Position, id::Revision},
    guard::{self, Guard},
    store::{Fork, Restored, Resume, Store},
};

/// What the backup ends with, and what is known of restores before.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    holds: Revision,
    /// None where it was forgotten.
    last: Option<Uuid>,
    /// Of restores before this one.
    forks: Vec<Fork>,
}

impl Branch {
    pub(super) async fn of(store: &Store, restored: &Restored) -> Result<Self, NotRecovered> {
        // One that was cut off when it had noted its own is repeated.
        let forks = store.forks().await?.into_iter().filter(|fork| *fork != restored.fork()).collect();
        Ok(Self { holds: restored.holds, last: store.event_at(restored.holds).await?, forks })
    }

    /// The parts that are of it.
    pub(super) async fn own<'a>(&self, store: &Store, parts: &'a [Part]) -> Result<Vec<&'a Part>, NotRecovered> {
        let newest = Newest::of(parts);
        let mut own = Vec::new();
        for part in parts {
            // Up to its last place that the backup holds they are one history, or are not.
            let held = part.places.iter().rfind(|place| place.revision <= self.holds);
            let forked = match held {
                Some(place) => store.resume(*place).await? == Resume::Forked,
                None => false,
            };
            let is_other = forked || self.gave_up(part) || self.is_before_fork(part) || newest.overwrote(part);
            if !is_other || !guard::on(Guard::RestoredBranch) {
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

    /// Whether it goes on behind what a restore brought back, and was written before that one. No backup of
    /// before that restore, and no archive alone, can tell.
    fn is_before_fork(&self, part: &Part) -> bool {
        let places = || part.places.iter().filter_map(written);
        self.forks.iter().any(|Fork { holds, time }| {
            let forked = u64::try_from(time.micros() / 1000).unwrap_or_default();
            places().any(|(revision, time)| revision > *holds && time + SET_BACK < forked)
        })
    }
}

/// Apart from this, ids of one history are in the order of its revisions: a clock may be set back a little.
const SET_BACK: u64 = 5_000;

/// By revision, the newest time at which one up to it was written, in whatever part.
struct Newest(BTreeMap<Revision, u64>);

impl Newest {
    fn of(parts: &[Part]) -> Self {
        let mut newest = BTreeMap::new();
        for (place, time) in parts.iter().flat_map(|part| &part.places).filter_map(written) {
            let known = newest.entry(place).or_default();
            *known = time.max(*known);
        }
        let mut up_to_here = 0;
        for time in newest.values_mut() {
            up_to_here = up_to_here.max(*time);
            *time = up_to_here;
        }
        Self(newest)
    }

    /// Whether, at a revision of this part or before it, something was written later: the numbers were given out
    /// once more, by a restore to before them.
    fn overwrote(&self, part: &Part) -> bool {
        let mut places = part.places.iter().filter_map(written);
        places.any(|(revision, time)| self.0.get(&revision).is_some_and(|newest| *newest > time + SET_BACK))
    }
}

fn written(place: &Position) -> Option<(Revision, u64)> {
    Some((place.revision, millis(place.event_id)?))
}

/// Of a UUID of version 7; of others nothing is known.
fn millis(id: Uuid) -> Option<u64> {
    (id.get_version_num() == 7).then(|| id.as_u64_pair().0 >> 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Timestamp;

    fn place((revision, seconds): (i64, u64)) -> Position {
        let millis = uuid::Builder::from_unix_timestamp_millis(seconds * 1000, &[0; 10]);
        Position { revision: Revision::new(revision), event_id: millis.into_uuid() }
    }

    fn part(places: &[(i64, u64)]) -> Part {
        let (after, last) = Default::default();
        Part { after, last, told: Vec::new(), places: places.iter().copied().map(place).collect() }
    }

    #[test]
    fn what_was_written_before_the_last_restore_behind_what_it_brought_back_is_of_a_branch_that_was_given_up() {
        let fork = |holds, seconds| Fork { holds: Revision::new(holds), time: Timestamp::from_seconds(seconds) };
        let mut branch = Branch { holds: Revision::new(10), last: None, forks: vec![fork(20, 150), fork(40, 250)] };
        let is_before = |places: &[(i64, u64)]| branch.is_before_fork(&part(places));
        assert!(is_before(&[(15, 90), (21, 100)]) && is_before(&[(30, 130)]));
        assert!(!is_before(&[(15, 90), (20, 100)]), "both branches have it");
        assert!(!is_before(&[(15, 90), (21, 151)]) && !is_before(&[(21, 146)]), "a clock that was set back a little");
        assert!(is_before(&[(41, 200)]) && !is_before(&[(40, 200)]), "by the later one as well");
        branch.forks.clear();
        assert!(!branch.is_before_fork(&part(&[(30, 130)])));
    }

    #[test]
    fn a_number_that_was_given_out_again_later_is_of_a_branch_that_was_given_up() {
        let [first, second] = [part(&[(21, 100), (30, 130)]), part(&[(24, 200), (40, 210)])];
        let newest = Newest::of(&[first.clone(), second.clone()]);
        assert_eq!([newest.overwrote(&first), newest.overwrote(&second)], [true, false]);
        let whole = Newest::of(std::slice::from_ref(&first));
        assert!(!whole.overwrote(&first));
        let back = part(&[(21, 100), (22, 96)]);
        assert!(!Newest::of(std::slice::from_ref(&back)).overwrote(&back), "a clock that was set back a little");
    }

    proptest! {
        #[test]
        fn what_was_written_later_at_or_before_a_revision_is_found(
            parts in prop::collection::vec(prop::collection::vec((0..20i64, 0..40u64), 0..8), 1..4),
        ) {
            let later = |of: &[(i64, u64)]| {
                let all = || parts.iter().flatten();
                of.iter().any(|(at, time)| all().any(|(other, later)| other <= at && *later > time + SET_BACK / 1000))
            };
            let read: Vec<_> = parts.iter().map(|places| part(places)).collect();
            let newest = Newest::of(&read);
            for (places, part) in parts.iter().zip(&read) {
                prop_assert_eq!(newest.overwrote(part), later(places));
            }
        }
    }
}
