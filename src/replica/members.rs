use std::{collections::HashMap, time::Duration};

use uuid::Uuid;

use super::by_any_clock;
use crate::{
    guard::{self, Guard},
    store::Member,
};

/// Who has been silent since when, as this replica saw it. Other clocks are not asked: a beat that
/// stays the same for as long as a lease lasts is of somebody who answers nothing any more.
#[derive(Debug, Default)]
pub(super) struct Silence {
    seen: HashMap<Uuid, (i64, Duration)>,
}

impl Silence {
    /// Those that are to be taken out, and the beat that they stopped at. A beat was seen between
    /// `asked` and `answered`: a new one counts from the later of them, and an old one up to the
    /// earlier, or a slow look would make a lease shorter. `lapsed`: this replica's own
    /// lease had run out before this look. It begins to look anew then: whoever comes back first
    /// after the database was away would else take everybody else for dead.
    pub(super) fn of(
        &mut self,
        members: &[Member],
        me: Uuid,
        (asked, answered): (Duration, Duration),
        lapsed: bool,
    ) -> Vec<(Uuid, i64)> {
        if lapsed && guard::on(Guard::Members) {
            self.seen.clear();
        }
        self.seen.retain(|id, _| members.iter().any(|member| member.id == *id));
        let mut silent = Vec::new();
        for member in members.iter().filter(|member| member.id != me) {
            let (beat, since) = self.seen.entry(member.id).or_insert((member.beat, answered));
            if *beat != member.beat {
                (*beat, *since) = (member.beat, answered);
            } else if asked.saturating_sub(*since) > patience(member) {
                silent.push((member.id, member.beat));
            }
        }
        silent
    }
}

fn patience(member: &Member) -> Duration {
    if guard::on(Guard::Members) { by_any_clock(member.lease) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Revision;

    const ME: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn member(id: Uuid, beat: i64) -> Member {
        let revision = Revision::default();
        Member { id, beat, acked: revision, edge: revision, lease: Duration::from_secs(10) }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_member_is_dead_when_its_beat_stood_still_for_longer_than_its_lease() {
        let mut silence = Silence::default();
        let mut look = |beat, now| silence.of(&[member(ME, 0), member(OTHER, beat)], ME, (at(now), at(now)), false);
        assert!(look(1, 0).is_empty());
        assert!(look(1, 10_000).is_empty());
        assert!(look(2, 10_400).is_empty(), "it spoke");
        assert!(look(2, 20_900).is_empty(), "10.5 seconds after");
        assert_eq!(look(2, 20_901), vec![(OTHER, 2)]);
    }

    #[test]
    fn who_was_away_itself_takes_nobody_for_dead() {
        let mut silence = Silence::default();
        let both = [member(ME, 0), member(OTHER, 1)];
        assert!(silence.of(&both, ME, (at(0), at(0)), false).is_empty());
        assert!(silence.of(&both, ME, (at(60_000), at(60_000)), true).is_empty(), "the database was away for both");
        assert!(silence.of(&both, ME, (at(70_500), at(70_500)), false).is_empty());
        assert_eq!(silence.of(&both, ME, (at(70_501), at(70_501)), false), vec![(OTHER, 1)]);
    }

    #[test]
    fn a_slow_look_makes_no_lease_shorter() {
        let mut silence = Silence::default();
        let both = [member(ME, 0), member(OTHER, 1)];
        // The beat may be of just before the answer.
        assert!(silence.of(&both, ME, (at(0), at(3_000)), false).is_empty());
        assert!(silence.of(&both, ME, (at(10_600), at(13_600)), false).is_empty());
        assert_eq!(silence.of(&both, ME, (at(13_501), at(13_600)), false), vec![(OTHER, 1)]);
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let mut silence = Silence::default();
        silence.of(&[member(ME, 0), member(OTHER, 1)], ME, (at(0), at(0)), false);
        silence.of(&[member(ME, 0)], ME, (at(1), at(1)), false);
        assert!(silence.seen.is_empty());
    }
}
