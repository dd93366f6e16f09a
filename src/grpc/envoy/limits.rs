use std::time::Duration;

use crate::domain::balance::Balance;

/// What a client is told of its limits: of the one that it feels. That is the last to be whole
/// again of those that refused it, else the one of which the least is left.
pub(super) fn headers(balances: &[Balance], retry_after: Option<Duration>) -> Vec<(&'static str, String)> {
    let refusing = balances.iter().filter(|balance| balance.exceeded).max_by_key(|balance| balance.reset_time);
    let felt = refusing.or_else(|| balances.iter().min_by_key(|balance| (balance.remaining, balance.reset_time)));
    let mut headers = Vec::new();
    if let Some(Balance { limit, remaining, reset_time, .. }) = felt {
        headers.push(("x-ratelimit-limit", limit.to_string()));
        headers.push(("x-ratelimit-remaining", remaining.to_string()));
        headers.push(("x-ratelimit-reset", reset_time.seconds().to_string()));
    }
    // In whole seconds, and not before the time has come.
    headers.extend(retry_after.map(|wait| ("retry-after", whole_seconds(wait).to_string())));
    headers
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::span::Span;
    use crate::domain::time::Timestamp;

    fn balance(limit: u64, remaining: u64, reset: i64, exceeded: bool) -> Balance {
        let reset_time = Timestamp::from_seconds(reset);
        Balance { name: "limit".into(), limit, remaining, reset_time, span: Span::Seconds(60), exceeded }
    }

    fn told(balances: &[Balance]) -> [String; 3] {
        let headers = headers(balances, None);
        assert_eq!(
            headers.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
        );
        [headers[0].1.clone(), headers[1].1.clone(), headers[2].1.clone()]
    }

    #[test]
    fn of_several_limits_the_one_that_is_felt_is_told() {
        let (minute, hour) = (balance(100, 40, 60, false), balance(1000, 30, 3600, false));
        assert_eq!(told(&[minute.clone(), hour.clone()]), ["1000", "30", "3600"], "the least is left of it");
        assert_eq!(told(&[hour.clone(), minute.clone()]), ["1000", "30", "3600"], "in any order");
        let (spent, too_much) = (balance(100, 0, 60, true), balance(1000, 3, 3600, true));
        assert_eq!(told(&[spent.clone(), hour]), ["100", "0", "60"], "the one that refused");
        assert_eq!(told(&[spent, too_much, minute]), ["1000", "3", "3600"], "waiting for the other would not do");
    }

    #[test]
    fn a_key_without_limits_is_told_of_none() {
        assert_eq!(headers(&[], None), []);
    }

    #[test]
    fn a_client_that_waits_as_long_as_it_is_told_does_not_come_too_early() {
        let wait = |wait| headers(&[], Some(wait));
        for (after, seconds) in [
            (Duration::ZERO, "1"),
            (Duration::from_millis(1), "1"),
            (Duration::from_secs(1), "1"),
            (Duration::from_millis(1001), "2"),
            (Duration::MAX, "18446744073709551615"),
        ] {
            assert_eq!(wait(after), [("retry-after", seconds.to_owned())], "{after:?}");
        }
    }
}
