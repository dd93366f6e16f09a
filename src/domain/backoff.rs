//! When to try again: the schedule of Standard Webhooks, bent to end after a day.

use std::time::Duration;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// From one attempt to the next: 24 hours and 5 minutes in all.
const SCHEDULE: [Duration; 7] =
    [Duration::from_secs(5), minutes(5), minutes(30), minutes(120), minutes(300), minutes(420), minutes(570)];

/// How long something is tried: what has waited behind others for so long is tried once.
pub const TRIED: Duration = minutes(24 * 60);

/// How often a delivery is tried.
pub const ATTEMPTS: u32 = SCHEDULE.len() as u32 + 1;

/// How long to wait after so many attempts; `None`: that was the last one. Up to a tenth more
/// or less, by `fraction` of 0 to 1: what failed together does not come back together.
#[must_use]
pub fn delay(attempts: u32, fraction: f64) -> Option<Duration> {
    let at = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let delay = SCHEDULE.get(at)?;
    Some(delay.mul_f64(0.9 + 0.2 * fraction.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_attempt_is_a_day_after_the_first() {
        let all: Duration = (1..ATTEMPTS).map(|attempts| delay(attempts, 0.5).expect("one more")).sum();
        assert_eq!(all, minutes(24 * 60 + 5) + Duration::from_secs(5));
        assert_eq!((delay(ATTEMPTS, 0.5), delay(u32::MAX, 0.5), delay(0, 0.5)), (None, None, None));
    }

    proptest! {
        #[test]
        fn each_wait_is_longer_than_the_one_before_and_near_its_middle(attempts in 1..ATTEMPTS, a in 0.0..1.0, b in 0.0..1.0) {
            let (here, middle) = (delay(attempts, a).expect("a delay"), delay(attempts, 0.5).expect("a delay"));
            prop_assert!(here >= middle.mul_f64(0.89) && here <= middle.mul_f64(1.11));
            if let Some(next) = delay(attempts + 1, b) {
                prop_assert!(next > here);
            }
        }
    }
}
