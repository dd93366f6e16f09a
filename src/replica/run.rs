use std::time::Duration;

use crate::store::Entered;

/// Which run of the server this replica sees, and since when by the clock since boot. The server's own
/// clock is not asked: somebody may set it, and a failover may bring another one. What was seen before a
/// restore into the same run is not what is seen after it, and counts for nothing.
#[derive(Debug, Default)]
pub(super) struct Run(Option<(Entered, Duration)>);

impl Run {
    /// A sync that was answered at `answered` was in this run.
    pub(super) fn saw(&mut self, entered: Entered, answered: Duration) {
        if self.0.is_none_or(|(seen, _)| seen != entered) {
            self.0 = Some((entered, answered));
        }
    }

    /// The run that has been here for longer than `lease`: whatever was granted in one before is over.
    pub(super) fn outlasting(&self, lease: Duration, now: Duration) -> Option<Entered> {
        let (entered, since) = self.0?;
        (now.saturating_sub(since) >= lease).then_some(entered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Incarnation;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_run_counts_from_when_it_was_first_seen_and_each_one_anew() {
        let entered = |timeline, since| Entered::of(Incarnation::of(1, timeline), since);
        let [first, second, restored] = [entered(1, 5), entered(2, 6), entered(2, 7)];
        let mut run = Run::default();
        assert_eq!(run.outlasting(Duration::ZERO, at(100)), None);
        run.saw(first, at(100));
        run.saw(first, at(105));
        assert_eq!(run.outlasting(at(10), at(109)), None);
        assert_eq!(run.outlasting(at(10), at(110)), Some(first));
        run.saw(second, at(111));
        assert_eq!(run.outlasting(at(10), at(112)), None, "another run");
        assert_eq!(run.outlasting(at(10), at(121)), Some(second));
        run.saw(restored, at(122));
        assert_eq!(run.outlasting(at(10), at(123)), None, "the same run, after a restore");
    }
}
