//! What comes of a job that fails: when it is tried again, and how often that is said.

use std::time::Duration;

/// How often one that fails is tried: what it does is late by no more, once it goes again.
const RETRY: Duration = Duration::from_secs(1);
/// How long nothing is said after the first warning, and at most.
const QUIET: Duration = Duration::from_secs(1);
const LONGEST_QUIET: Duration = Duration::from_mins(1);

/// How many times in a row a job has failed.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failures: u32,
    /// How long nothing is said after the last warning, and what is left of that.
    quiet: Duration,
    quiet_left: Duration,
}

impl Trouble {
    /// How long the job rests, which otherwise does so for `every`.
    pub(super) fn rest(&self, every: Duration) -> Duration {
        let longer = every.saturating_mul(2_u32.saturating_pow(self.failures));
        longer.min(RETRY.max(every))
    }

    /// It failed once more. The number of times, when it is to be said: at once, and then after
    /// pauses that double, so that a database that is away for a day does not fill a log.
    /// Goes by how long the job rested.
    pub(super) fn failed(&mut self, every: Duration) -> Option<u32> {
        self.quiet_left = self.quiet_left.saturating_sub(self.rest(every));
        self.failures = self.failures.saturating_add(1);
        if !self.quiet_left.is_zero() {
            return None;
        }
        self.quiet = (self.quiet * 2).clamp(QUIET, LONGEST_QUIET);
        self.quiet_left = self.quiet;
        Some(self.failures)
    }

    /// It went well. How many times it had failed.
    pub(super) fn is_over(&mut self) -> u32 {
        std::mem::take(self).failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(250);

    #[test]
    fn a_job_that_fails_is_tried_each_second_and_as_before_once_it_goes() {
        let mut trouble = Trouble::default();
        let mut rests = vec![trouble.rest(EVERY)];
        for _ in 0..100 {
            trouble.failed(EVERY);
            rests.push(trouble.rest(EVERY));
        }
        assert_eq!(rests[..4], [250, 500, 1000, 1000].map(Duration::from_millis));
        assert!(rests[3..].iter().all(|rest| *rest == RETRY));
        assert_eq!(trouble.rest(2 * RETRY), 2 * RETRY, "no sooner than one that goes well");
        assert_eq!((trouble.is_over(), trouble.is_over()), (100, 0));
        assert_eq!(trouble.rest(EVERY), EVERY);
    }

    #[test]
    fn an_hour_of_failures_is_said_once_a_minute_and_the_first_at_once() {
        let mut trouble = Trouble::default();
        let hour: Vec<_> = (0..3600).filter_map(|_| trouble.failed(EVERY)).collect();
        assert_eq!(hour[..8], [1, 3, 5, 9, 17, 33, 65, 125], "of failures a second apart");
        assert!(hour[7..].windows(2).all(|pair| pair[1] - pair[0] == 60), "{hour:?}");
        trouble.is_over();
        let anew: Vec<_> = (0..5).filter_map(|_| trouble.failed(EVERY)).collect();
        assert_eq!(anew, [1, 3, 5], "after it went well");
    }
}
