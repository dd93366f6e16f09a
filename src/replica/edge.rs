use std::{collections::VecDeque, time::Duration};

use crate::{
    domain::id::Revision,
    guard::{self, Guard},
};

/// Which revisions have reached the edge: everything that was answered before them, and
/// may be answered again by a verifier that caches, is over.
///
/// It waits in the order of the log: a revision is at the edge only when all before it are.
#[derive(Debug)]
pub(super) struct Edge {
    reached: Revision,
    /// Applied, and waited for: up to this revision, until this moment since boot. Both rise
    /// strictly. What may be promised ends within minutes and is rounded, so there are few.
    waiting: VecDeque<(Revision, Duration)>,
}

impl Edge {
    /// For a replica that has loaded `revision`. Whoever answered before it may have handed
    /// out answers that are good until then.
    pub(super) fn new(revision: Revision, until: Duration) -> Self {
        Self { reached: Revision::default(), waiting: VecDeque::from([(revision, until)]) }
    }

    /// Takes in a revision that is applied. `until` must have been read after that: only then
    /// does it cover all that was promised by what was before.
    pub(super) fn applied(&mut self, revision: Revision, until: Duration) {
        match self.waiting.back_mut() {
            Some((last, longest)) if until <= *longest => *last = revision,
            _ => self.waiting.push_back((revision, until)),
        }
    }

    /// The last revision that is at the edge by then.
    pub(super) fn at(&mut self, now: Duration) -> Revision {
        while let Some((revision, _)) = self.waiting.pop_front_if(|(_, until)| *until <= now || !guard::on(Guard::Edge))
        {
            self.reached = revision;
        }
        self.reached
    }

    /// When the next revision reaches it, if one is on its way.
    pub(super) fn next(&self) -> Option<Duration> {
        self.waiting.front().map(|(_, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn revision(number: usize) -> Revision {
        Revision::new(i64::try_from(number).expect("small"))
    }

    #[test]
    fn where_nothing_is_cached_a_revision_is_at_the_edge_as_soon_as_it_is_applied() {
        let mut edge = Edge::new(revision(7), Duration::ZERO);
        assert_eq!(edge.at(at(1)), revision(7));
        edge.applied(revision(8), Duration::ZERO);
        edge.applied(revision(9), at(1));
        assert_eq!((edge.at(at(1)), edge.next()), (revision(9), None));
    }

    #[test]
    fn what_was_handed_out_before_this_replica_began_is_waited_for() {
        let mut edge = Edge::new(revision(7), at(10));
        assert_eq!((edge.at(at(9)), edge.next()), (Revision::default(), Some(at(10))));
        edge.applied(revision(8), Duration::ZERO);
        assert_eq!(edge.at(at(9)), Revision::default());
        assert_eq!(edge.at(at(10)), revision(8));
    }

    proptest! {
        /// Against the definition: a revision is at the edge when its own moment and those of
        /// all before it are past.
        #[test]
        fn a_revision_is_at_the_edge_when_all_that_was_promised_before_it_is_over(
            steps in proptest::collection::vec((0_u64..5, 0_u64..30), 1..60),
        ) {
            let mut edge = Edge::new(Revision::default(), Duration::ZERO);
            let (mut now, mut untils) = (0, vec![0]);
            for (passes, until) in steps {
                now += passes;
                let naive = |untils: &[u64]| untils.iter().take_while(|until| **until <= now).count() - 1;
                prop_assert_eq!(edge.at(at(now)), revision(naive(&untils)));
                edge.applied(revision(untils.len()), at(until));
                untils.push(until);
                prop_assert_eq!(edge.at(at(now)), revision(naive(&untils)));
                let next = edge.next().map_or(now + 1, |next| next.as_secs());
                prop_assert!(next > now, "what is past is taken off");
                let rising = edge.waiting.iter().zip(edge.waiting.iter().skip(1));
                prop_assert!(rising.into_iter().all(|(one, two)| one.0 < two.0 && one.1 < two.1));
            }
        }
    }
}
