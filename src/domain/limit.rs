//! How much a key may be used: rate limits, quotas, and the plans of applications.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use super::{
    span::Span,
    text::{TextRefused, is_word_byte},
};

/// How many limits a key or a plan may have.
pub const MAX_RATE_LIMITS: usize = 10;
/// The most that a limit allows: sums of it stay far from the end of 64 bits.
pub const MAX_LIMIT: u64 = 1_000_000_000_000_000;
/// The most that one call may cost.
pub const MAX_COST: u64 = 1_000_000_000;

/// What people call a limit: 1 to 64 of `[a-z0-9_.-]`, not beginning with `quota.`, which
/// is how quotas are told.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LimitName(Arc<str>);

/// Why a limit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitRefused {
    #[error(transparent)]
    Name(#[from] TextRefused),
    #[error("must not begin with `quota.`, which is how quotas are told")]
    NameOfQuota,
    #[error("must be 1 to {MAX_LIMIT}; to allow nothing, disable the key")]
    Limit,
    #[error("must be whole seconds, from 1 second to 1 day")]
    Window,
}

/// So much in every window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateLimit {
    pub name: LimitName,
    pub limit: Amount,
    pub window: Window,
}

/// 1 to [`MAX_LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

/// The length of a rate limit's window: whole seconds, from 1 second to 1 day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaPeriod {
    Day,
    Month,
}

/// So much in every day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    pub limit: Amount,
    pub period: QuotaPeriod,
}

/// A key's own limits: no two over the same span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    pub rate_limits: Vec<RateLimit>,
    pub quotas: Vec<Quota>,
}

/// The limits that come with an application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Plan {
    /// No limits.
    #[default]
    None,
    Free,
    Professional,
    /// Its own.
    Enterprise(Arc<[RateLimit]>),
}

/// A plan by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanKind {
    None,
    Free,
    Professional,
    Enterprise,
}

/// The plan ENTERPRISE, and no other, has limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OwnLimitsRefused {
    #[error("only PLAN_ENTERPRISE has rate_limits of its own; leave them out, or set the plan")]
    NotItsOwn,
    #[error("PLAN_ENTERPRISE needs rate_limits of its own; for none at all, set PLAN_UNSPECIFIED")]
    None,
}

/// What holds for a key over one span: the lower of its own limit and the plan's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    pub name: Arc<str>,
    pub limit: u64,
    pub span: Span,
}

const DAY: u32 = 24 * 3600;

impl LimitName {
    pub const MAX: usize = 64;

    pub fn parse(text: &str) -> Result<Self, LimitRefused> {
        if !(1..=Self::MAX).contains(&text.len()) || !text.bytes().all(is_word_byte) {
            return Err(TextRefused::NotAWord { limit: Self::MAX }.into());
        }
        if text.starts_with("quota.") {
            return Err(LimitRefused::NameOfQuota);
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Amount {
    pub fn new(amount: i64) -> Result<Self, LimitRefused> {
        u64::try_from(amount).ok().filter(|n| (1..=MAX_LIMIT).contains(n)).map(Self).ok_or(LimitRefused::Limit)
    }

    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Window {
    pub fn new(length: Duration) -> Result<Self, LimitRefused> {
        let seconds = u32::try_from(length.as_secs()).ok().filter(|seconds| (1..=DAY).contains(seconds));
        seconds.filter(|_| length.subsec_nanos() == 0).map(Self).ok_or(LimitRefused::Window)
    }

    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    #[must_use]
    pub const fn span(self) -> Span {
        Span::Seconds(self.0)
    }
}

impl QuotaPeriod {
    #[must_use]
    pub const fn span(self) -> Span {
        match self {
            Self::Day => Span::Day,
            Self::Month => Span::Month,
        }
    }
}

impl Plan {
    #[must_use]
    pub fn kind(&self) -> PlanKind {
        match self {
            Self::None => PlanKind::None,
            Self::Free => PlanKind::Free,
            Self::Professional => PlanKind::Professional,
            Self::Enterprise(_) => PlanKind::Enterprise,
        }
    }

    /// The limits that are an application's own.
    #[must_use]
    pub fn own(&self) -> &[RateLimit] {
        match self {
            Self::Enterprise(limits) => limits,
            Self::None | Self::Free | Self::Professional => &[],
        }
    }

    /// Another kind, other limits, or both; `None` stays as it is.
    pub fn patched(&self, kind: Option<PlanKind>, own: Option<Vec<RateLimit>>) -> Result<Self, OwnLimitsRefused> {
        let kind = kind.unwrap_or(self.kind());
        let plan = match kind {
            PlanKind::Enterprise => {
                let own: Arc<[RateLimit]> = own.map_or_else(|| self.own().into(), Into::into);
                return if own.is_empty() { Err(OwnLimitsRefused::None) } else { Ok(Self::Enterprise(own)) };
            }
            PlanKind::None => Self::None,
            PlanKind::Free => Self::Free,
            PlanKind::Professional => Self::Professional,
        };
        if own.is_some_and(|own| !own.is_empty()) { Err(OwnLimitsRefused::NotItsOwn) } else { Ok(plan) }
    }

    /// What it allows each key.
    #[must_use]
    pub fn rate_limits(&self) -> &Arc<[RateLimit]> {
        static NONE: LazyLock<Arc<[RateLimit]>> = LazyLock::new(|| [].into());
        static FREE: LazyLock<Arc<[RateLimit]>> = LazyLock::new(|| minute_and_hour(100, 1_000));
        static PROFESSIONAL: LazyLock<Arc<[RateLimit]>> = LazyLock::new(|| minute_and_hour(500, 10_000));
        match self {
            Self::None => &NONE,
            Self::Free => &FREE,
            Self::Professional => &PROFESSIONAL,
            Self::Enterprise(limits) => limits,
        }
    }
}

fn minute_and_hour(minute: u64, hour: u64) -> Arc<[RateLimit]> {
    let limit = |name: &str, limit, seconds| RateLimit {
        name: LimitName(name.into()),
        limit: Amount(limit),
        window: Window(seconds),
    };
    [limit("minute", minute, 60), limit("hour", hour, 3600)].into()
}

impl Allowance {
    /// Whether whoever keeps to this keeps to `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.span == other.span && self.limit <= other.limit
    }
}

impl Limits {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rate_limits.is_empty() && self.quotas.is_empty()
    }

    /// Those that are above what the plan allows over the same window, with the plan's.
    pub fn above<'a>(&self, plan: &'a [RateLimit]) -> impl Iterator<Item = (usize, &'a RateLimit)> {
        self.rate_limits.iter().enumerate().filter_map(|(at, own)| {
            let lower = |of_plan: &&RateLimit| of_plan.window == own.window && of_plan.limit < own.limit;
            plan.iter().find(lower).map(|found| (at, found))
        })
    }

    /// Those that bear the name of a limit of the plan over another window.
    pub fn named_as(&self, plan: &[RateLimit]) -> impl Iterator<Item = usize> {
        self.rate_limits.iter().enumerate().filter_map(|(at, own)| {
            plan.iter().any(|of_plan| of_plan.name == own.name && of_plan.window != own.window).then_some(at)
        })
    }

    /// Whether some span allows less than in `before`.
    #[must_use]
    pub fn is_narrower_than(&self, before: &Self) -> bool {
        let before = allowances(&[], before);
        allowances(&[], self)
            .iter()
            .any(|now| before.iter().find(|then| then.span == now.span).is_none_or(|then| now.limit < then.limit))
    }
}

/// What holds for a key: one allowance a span, the lower of its own and the plan's.
#[must_use]
pub fn allowances(plan: &[RateLimit], own: &Limits) -> Vec<Allowance> {
    let mut all: Vec<Allowance> = Vec::with_capacity(plan.len() + own.rate_limits.len() + own.quotas.len());
    for limit in own.rate_limits.iter().chain(plan) {
        let (limit, span, name) = (limit.limit.get(), limit.window.span(), &limit.name.0);
        match all.iter_mut().find(|known| known.span == span) {
            Some(known) => known.limit = known.limit.min(limit),
            None => all.push(Allowance { name: Arc::clone(name), limit, span }),
        }
    }
    for quota in &own.quotas {
        let name = match quota.period {
            QuotaPeriod::Day => "quota.day",
            QuotaPeriod::Month => "quota.month",
        };
        all.push(Allowance { name: name.into(), limit: quota.limit.get(), span: quota.period.span() });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, limit: u64, seconds: u32) -> RateLimit {
        RateLimit { name: LimitName::parse(name).expect("name"), limit: Amount(limit), window: Window(seconds) }
    }

    fn own(rate_limits: &[RateLimit]) -> Limits {
        Limits { rate_limits: rate_limits.to_vec(), quotas: Vec::new() }
    }

    fn told(allowances: &[Allowance]) -> Vec<(&str, u64, Span)> {
        allowances.iter().map(|a| (&*a.name, a.limit, a.span)).collect()
    }

    #[test]
    fn a_key_has_the_lower_of_its_own_limit_and_the_plans() {
        let of_key = own(&[limit("burst", 50, 60), limit("second", 5, 1)]);
        let all = allowances(Plan::Free.rate_limits(), &of_key);
        let expected =
            [("burst", 50, Span::Seconds(60)), ("second", 5, Span::Seconds(1)), ("hour", 1_000, Span::Seconds(3600))];
        assert_eq!(told(&all), expected);
        // After a downgrade the plan's is the lower one, at once.
        let all = allowances(Plan::Free.rate_limits(), &own(&[limit("burst", 400, 60)]));
        assert_eq!(told(&all)[0], ("burst", 100, Span::Seconds(60)));
    }

    #[test]
    fn quotas_stand_beside_a_rate_limit_of_a_day() {
        let quotas = [QuotaPeriod::Day, QuotaPeriod::Month].map(|period| Quota { limit: Amount(7), period }).to_vec();
        let all = allowances(&[], &Limits { rate_limits: vec![limit("day", 9, DAY)], quotas });
        let expected = [("day", 9, Span::Seconds(DAY)), ("quota.day", 7, Span::Day), ("quota.month", 7, Span::Month)];
        assert_eq!(told(&all), expected);
    }

    #[test]
    fn limits_above_the_plans_over_the_same_windows_are_found() {
        let free = Plan::Free.rate_limits();
        let above = |limits: &[RateLimit]| own(limits).above(free).map(|(at, of_plan)| (at, of_plan.clone())).collect();
        let found: Vec<_> = above(&[limit("a", 100, 60), limit("b", 1_000_000, 10)]);
        assert_eq!(found, []);
        let found: Vec<_> = above(&[limit("a", 101, 60), limit("b", 5, 1), limit("c", 1_001, 3600)]);
        assert_eq!(found, [(0, free[0].clone()), (2, free[1].clone())]);
    }

    #[test]
    fn narrower_is_less_over_some_span() {
        let before = own(&[limit("a", 100, 60)]);
        assert!(own(&[limit("a", 99, 60)]).is_narrower_than(&before));
        assert!(own(&[limit("a", 100, 60), limit("b", 1, 1)]).is_narrower_than(&before));
        assert!(!own(&[limit("renamed", 101, 60)]).is_narrower_than(&before));
        assert!(!own(&[]).is_narrower_than(&before));
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for bad in [i64::MIN, -1, 0, MAX_LIMIT as i64 + 1, i64::MAX] {
            assert_eq!(Amount::new(bad), Err(LimitRefused::Limit), "{bad}");
        }
        assert_eq!(Amount::new(MAX_LIMIT as i64), Ok(Amount(MAX_LIMIT)));
        for bad in [Duration::ZERO, Duration::from_millis(999), Duration::from_millis(1500), Duration::MAX] {
            assert_eq!(Window::new(bad), Err(LimitRefused::Window), "{bad:?}");
        }
        assert!(Window::new(Duration::from_secs(u64::from(DAY))).is_ok());
        assert!(Window::new(Duration::from_secs(u64::from(DAY) + 1)).is_err());
        for bad in ["", "A", "a b", "ü", "quota.day", &"a".repeat(65)] {
            assert!(LimitName::parse(bad).is_err(), "{bad}");
        }
    }
}
