use std::time::Duration;

use crate::store::Incarnation;

/// Which run of the server this replica sees, and since when by the clock since boot. The server's own
/// clock is not asked: somebody may set it, and a failover may bring another one.
#[derive(Debug, Default)]
pub(super) struct Run(Option<(Incarnation, Duration)>);

impl Run {
    /// A sync that was answered at `answered` was in this run.
    pub(super) fn saw(&mut self, incarnation: Incarnation, answered: Duration) {
        if self.0.is_none_or(|(seen, _)| seen != incarnation) {
            self.0 = Some((incarnation, answered));
        }
    }

    /// The run that has been here for longer than `lease`: whatever was granted in one before is over.
    pub(super) fn outlasting(&self, lease: Duration, now: Duration) -> Option<Incarnation> {
        let (incarnation, since) = self.0?;
        (now.saturating_sub(since) >= lease).then_some(incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_run_counts_from_when_it_was_first_seen_and_each_one_anew() {
        let [first, second] = [Incarnation::of(1, 1), Incarnation::of(1, 2)];
        let mut run = Run::default();
        assert_eq!(run.outlasting(Duration::ZERO, at(100)), None);
        run.saw(first, at(100));
        run.saw(first, at(105));
        assert_eq!(run.outlasting(at(10), at(109)), None);
        assert_eq!(run.outlasting(at(10), at(110)), Some(first));
        run.saw(second, at(111));
        assert_eq!(run.outlasting(at(10), at(112)), None, "another run");
        assert_eq!(run.outlasting(at(10), at(121)), Some(second));
    }
}
