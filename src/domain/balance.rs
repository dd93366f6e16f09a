//! How a key stands in its limits and quotas, and what follows from that for a call.

use std::{sync::Arc, time::Duration};

use super::{span::Span, time::Timestamp, verdict::Verdict};

/// How one limit or quota stands, for a call of some cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    pub name: Arc<str>,
    pub limit: u64,
    pub remaining: u64,
    pub span: Span,
    /// When its window ends and all of the limit is there again.
    pub reset_time: Timestamp,
    /// Whether the call is too much for it.
    pub exceeded: bool,
}

impl Balance {
    /// A quota, by day or month, and not a rate limit.
    #[must_use]
    pub fn is_quota(&self) -> bool {
        matches!(self.span, Span::Day | Span::Month)
    }
}

/// Which verdicts the limits refuse with, in order: rate limits before quotas.
pub fn exceeded(balances: &[Balance]) -> impl Iterator<Item = Verdict> {
    let any = |quota: bool| balances.iter().any(|balance| balance.exceeded && balance.is_quota() == quota);
    let verdicts = [(any(false), Verdict::RateLimited), (any(true), Verdict::QuotaExceeded)];
    verdicts.into_iter().filter_map(|(exceeded, verdict)| exceeded.then_some(verdict))
}

/// When a call of `cost` may pass that limits refuse: as soon as the last of them begins
/// anew. `None` when it never may, because it costs more than a limit allows.
#[must_use]
pub fn retry_after(balances: &[Balance], cost: u64, now: Timestamp) -> Option<Duration> {
    let over = || balances.iter().filter(|balance| balance.exceeded);
    let ever = over().all(|balance| cost <= balance.limit);
    over().map(|balance| balance.reset_time.since(now)).max().filter(|_| ever)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(span: Span, limit: u64, remaining: u64, resets: i64, cost: u64) -> Balance {
        let reset_time = Timestamp::from_seconds(resets);
        Balance { name: "l".into(), limit, remaining, span, reset_time, exceeded: remaining < cost }
    }

    #[test]
    fn a_rate_limit_is_told_before_a_quota_and_both_when_both_are_reached() {
        let both = [balance(Span::Month, 10, 0, 90, 1), balance(Span::Seconds(60), 10, 0, 60, 1)];
        assert_eq!(exceeded(&both).collect::<Vec<_>>(), [Verdict::RateLimited, Verdict::QuotaExceeded]);
        assert_eq!(exceeded(&both[..1]).collect::<Vec<_>>(), [Verdict::QuotaExceeded]);
        assert_eq!(exceeded(&[balance(Span::Day, 10, 1, 60, 1)]).count(), 0);
    }

    #[test]
    fn a_refused_call_may_come_again_when_the_last_of_its_limits_begins_anew() {
        let now = Timestamp::from_seconds(50);
        let limits = |cost| {
            let spans = [(Span::Seconds(60), 5, 2, 60), (Span::Seconds(3600), 50, 3, 70), (Span::Day, 100, 90, 80)];
            spans.map(|(span, limit, remaining, resets)| balance(span, limit, remaining, resets, cost))
        };
        assert_eq!(retry_after(&limits(3), 3, now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(&limits(4), 4, now), Some(Duration::from_secs(20)));
        assert_eq!(retry_after(&limits(6), 6, now), None, "above a limit for ever");
        assert_eq!(retry_after(&limits(1), 1, now), None, "nothing is exceeded");
    }
}
