//! Spenders, and a naive teller that keeps the rules of `store/budgets.rs`.

use std::collections::HashMap;

use super::super::*;
use crate::domain::limit::{Amount, LimitName, Quota, QuotaPeriod, Window};
use crate::domain::span::Span;

/// 2026-11-21T00:00:00Z.
const BEGIN: i64 = 1_795_219_200_000_000;

/// Limits of 10, 60 and 3600 seconds and a day; 0: none.
pub(super) type Amounts = [u64; 4];

pub(super) fn limits([ten, minute, hour, day]: Amounts) -> Arc<Limits> {
    let limit = |name: &str, amount, seconds| {
        let (name, limit) = (LimitName::parse(name).expect("name"), Amount::new(amount as i64).ok()?);
        Some(RateLimit { name, limit, window: Window::new(Duration::from_secs(seconds)).expect("window") })
    };
    let rate_limits = [limit("ten", ten, 10), limit("minute", minute, 60), limit("hour", hour, 3600)];
    let quota = Amount::new(day as i64).ok().map(|limit| Quota { limit, period: QuotaPeriod::Day });
    Arc::new(Limits { rate_limits: rate_limits.into_iter().flatten().collect(), quotas: quota.into_iter().collect() })
}

/// An answer that is under way: for whom, and what was granted when.
pub(super) type Answer = (usize, Ask, Vec<Grant>, Timestamp, Duration);

pub(super) struct World {
    pub(super) plan: Arc<[RateLimit]>,
    pub(super) own: Arc<Limits>,
    pub(super) spenders: Vec<Budget>,
    pub(super) boottime: Duration,
    /// Of the teller.
    pub(super) wall: i64,
    pub(super) latest: i64,
    pub(super) rows: HashMap<Span, (TimeWindow, u64)>,
    pub(super) under_way: Vec<Answer>,
    pub(super) spent: HashMap<(Span, i64), u64>,
    /// The highest limit of a window so far.
    pub(super) highest: HashMap<(Span, i64), u64>,
    /// Every spender hears of every change of the limits, and not of the last one only; no
    /// answer is under way meanwhile.
    pub(super) all_hear: bool,
    /// How much of what is wished for is granted, in 255ths.
    pub(super) generosity: u64,
}

impl World {
    pub(super) fn new(spenders: usize, amounts: Amounts) -> Self {
        let (plan, own): (Arc<[RateLimit]>, _) = ([].into(), limits(amounts));
        Self {
            spenders: (0..spenders).map(|_| Budget::new(&plan, &own)).collect(),
            plan,
            own,
            boottime: Duration::from_secs(1000),
            wall: BEGIN,
            latest: BEGIN,
            rows: HashMap::new(),
            under_way: Vec::new(),
            spent: HashMap::new(),
            highest: HashMap::new(),
            all_hear: true,
            generosity: 255,
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.max(self.latest))
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.boottime += by;
        self.wall += by.as_micros() as i64;
        self.latest = self.latest.max(self.wall);
    }

    /// Nothing of a span above its limit, nothing at all where not all can be met, and
    /// never back to an older window.
    pub(super) fn grant(&mut self, ask: &Ask) -> Vec<Grant> {
        let time = self.time();
        let standing = |span: &AskSpan| match self.rows.get(&span.span) {
            Some((window, granted)) if window.start >= span.span.window_at(time).start => (*window, *granted),
            _ => (span.span.window_at(time), 0),
        };
        let before: Vec<_> = ask.spans.iter().map(standing).collect();
        let rest = |span: &AskSpan, granted: u64| span.limit.saturating_sub(granted);
        let met = ask.spans.iter().zip(&before).all(|(span, (_, granted))| span.short <= rest(span, *granted));
        let grants = ask.spans.iter().zip(before).map(|(span, (window, granted))| {
            let wish = (span.wish * self.generosity / 255).max(span.short);
            let chunk = if met { wish.min(rest(span, granted)) } else { 0 };
            if chunk > 0 {
                self.rows.insert(span.span, (window, granted + chunk));
            }
            Grant { window, granted: granted + chunk, chunk }
        });
        grants.collect()
    }

    /// The answer to an ask of a spender, on its way.
    pub(super) fn ask(&mut self, who: usize, cost: u64) -> Answer {
        self.spenders[who].follow(&self.plan, &self.own);
        let ask = self.spenders[who].ask(KeyId::new(uuid::Uuid::nil()), cost, self.boottime);
        let grants = self.grant(&ask);
        (who, ask, grants, self.time(), self.boottime)
    }

    pub(super) fn deliver(&mut self, (who, ask, grants, time, time_at): Answer) {
        self.spenders[who].put(&ask, &grants, time, time_at);
    }

    /// A call as `Budgets` makes it.
    pub(super) fn call(&mut self, who: usize, cost: u64) -> bool {
        for _ in 0..4 {
            self.spenders[who].follow(&self.plan, &self.own);
            match self.spenders[who].standing(cost, self.boottime) {
                Standing::Enough => {
                    self.take(who, cost);
                    return true;
                }
                Standing::Exceeded => {
                    if self.spenders[who].may_ask_again(cost, self.boottime) {
                        let answer = self.ask(who, 0);
                        self.deliver(answer);
                    }
                    return false;
                }
                Standing::Short | Standing::Unknown => {
                    let answer = self.ask(who, cost);
                    self.deliver(answer);
                }
            }
        }
        panic!("who was told is neither met nor refused: {:?}", self.spenders[who]);
    }

    /// Spends, and holds every span to its limit by the teller's clock.
    pub(super) fn take(&mut self, who: usize, cost: u64) {
        let at_hand = |budget: &Budget| -> Vec<u64> {
            budget.spans.iter().map(|purse| purse.held.as_ref().expect("known").chunk).collect()
        };
        let before = at_hand(&self.spenders[who]);
        self.spenders[who].take(cost, self.boottime);
        let after = at_hand(&self.spenders[who]);
        assert!(before.iter().zip(&after).all(|(before, after)| before - after == cost), "of each span, or of none");
        for allowance in allowances(&self.plan, &self.own) {
            let window = (allowance.span, allowance.span.window_at(self.time()).start.micros());
            let spent = self.spent.entry(window).or_default();
            *spent += cost;
            let limit = if self.all_hear { allowance.limit } else { self.highest[&window] };
            assert!(*spent <= limit, "{spent} of {limit}: {allowance:?}");
        }
        if self.spenders[who].is_low() {
            let answer = self.ask(who, 0);
            self.deliver(answer);
        }
    }

    /// What the limits are from now on, or in another window.
    pub(super) fn hear(&mut self) {
        for allowance in allowances(&self.plan, &self.own) {
            let window = (allowance.span, allowance.span.window_at(self.time()).start.micros());
            let highest = self.highest.entry(window).or_default();
            *highest = allowance.limit.max(*highest);
        }
        if self.all_hear {
            let old = |answer: &Answer| {
                answer.1.spans.iter().any(|asked| {
                    allowances(&self.plan, &self.own)
                        .iter()
                        .all(|now| (now.span, now.limit) != (asked.span, asked.limit))
                })
            };
            self.under_way.retain(|answer| !old(answer));
            self.spenders.iter_mut().for_each(|spender| spender.follow(&self.plan, &self.own));
        }
    }

    pub(super) fn give_back(&mut self, who: usize) {
        for unspent in self.spenders[who].empty(KeyId::new(uuid::Uuid::nil()), self.boottime) {
            if let Some((window, granted)) = self.rows.get_mut(&unspent.span)
                && window.start == unspent.window_start
            {
                *granted = granted.checked_sub(unspent.amount).expect("no more than was granted");
            }
        }
    }
}
