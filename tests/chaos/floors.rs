//! The least that a run must have seen. Where nearly nothing is answered nothing wrong is, either, and
//! that shows nothing.

use std::time::Duration;

/// Of a run: faults in which all stands still may come first.
const SPARED: Duration = Duration::from_secs(10);

/// What happened how often before all was well for good.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Revocations that were confirmed; and those of them that a fault was beside.
    pub(crate) revocations: usize,
    pub(crate) beside_faults: usize,
    pub(crate) valid: usize,
    pub(crate) revoked: usize,
    /// VALIDs that a verifier was allowed to keep.
    pub(crate) kept: usize,
    /// Copies of signed calls that were refused for what they are.
    pub(crate) replays_refused: usize,
    /// Accounts that were disabled, or lost their key, and of which that was confirmed.
    pub(crate) dismissed: usize,
    /// Windows of the limit in which something was spent.
    pub(crate) windows: usize,
}

impl Seen {
    /// Each, and how many there must be of it in a hundred seconds at the least: a fraction of what a
    /// debug build does beside other work.
    fn each(&self) -> [(&'static str, usize, u64); 8] {
        [
            ("revocations confirmed", self.revocations, 40),
            ("of them beside a fault", self.beside_faults, 10),
            ("verdicts VALID", self.valid, 500),
            ("verdicts REVOKED", self.revoked, 200),
            ("VALIDs that verifiers kept", self.kept, 50),
            ("replays refused", self.replays_refused, 10),
            ("accounts taken away", self.dismissed, 3),
            ("windows with spends of a limit", self.windows, 10),
        ]
    }

    /// Says all of it, and what is too little for a run of this length.
    pub(crate) fn too_little(&self, length: Duration) -> Vec<String> {
        let counted = length.saturating_sub(SPARED).as_secs();
        let each = self.each().map(|(what, seen, rate)| (what, seen, rate * counted / 100));
        let all = each.map(|(what, seen, least)| format!("{seen} {what} (at least {least})"));
        println!("seen: {}", all.join(", "));
        let few = each.into_iter().zip(all).filter(|((_, seen, least), _)| (*seen as u64) < *least);
        few.map(|(_, said)| said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_saw_nothing_is_found_and_a_short_one_need_not_see_as_much() {
        let minutes = Duration::from_mins(5) + SPARED;
        assert_eq!(Seen::default().too_little(minutes).len(), 8);
        assert_eq!(Seen::default().too_little(Duration::from_secs(20)).len(), 7);
        let least = Seen {
            revocations: 120,
            beside_faults: 30,
            valid: 1500,
            revoked: 600,
            kept: 150,
            replays_refused: 30,
            dismissed: 9,
            windows: 30,
        };
        assert_eq!(least.too_little(minutes), [""; 0]);
        assert_eq!(Seen { dismissed: 8, ..least }.too_little(minutes), ["8 accounts taken away (at least 9)"]);
        assert_eq!(Seen { dismissed: 0, ..least }.too_little(Duration::from_secs(20)), [""; 0]);
    }
}
