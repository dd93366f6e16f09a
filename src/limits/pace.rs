use std::time::Duration;

/// How much is spent in a second, so that a chunk is about what the next second needs.
#[derive(Debug, Default)]
pub(super) struct Pace {
    second: u64,
    spent: u64,
    in_second_before: u64,
}

/// The least to wish for: whoever calls now and then does not wait for the store each time.
const LEAST: u64 = 8;

impl Pace {
    pub(super) fn spend(&mut self, cost: u64, boottime: Duration) {
        self.turn(boottime);
        self.spent = self.spent.saturating_add(cost);
    }

    pub(super) fn wish(&self, boottime: Duration) -> u64 {
        let recent = match boottime.as_secs().saturating_sub(self.second) {
            0 => self.spent.max(self.in_second_before),
            1 => self.spent,
            _ => 0,
        };
        recent.max(LEAST)
    }

    fn turn(&mut self, boottime: Duration) {
        let second = boottime.as_secs();
        if second > self.second {
            self.in_second_before = if second == self.second + 1 { self.spent } else { 0 };
            (self.second, self.spent) = (second, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_what_the_last_second_took() {
        let at = |millis| Duration::from_millis(millis);
        let mut pace = Pace::default();
        assert_eq!(pace.wish(at(10_000)), LEAST);
        pace.spend(100, at(10_000));
        pace.spend(50, at(10_900));
        assert_eq!(pace.wish(at(10_950)), 150);
        assert_eq!(pace.wish(at(11_500)), 150);
        pace.spend(20, at(11_600));
        assert_eq!(pace.wish(at(11_900)), 150, "the second has only begun");
        assert_eq!(pace.wish(at(12_100)), 20);
        assert_eq!(pace.wish(at(13_100)), LEAST);
    }
}
