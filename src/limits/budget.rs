//! What one key may still spend on this replica: a chunk of each of its limits and quotas,
//! each in the hands of this replica alone.

use std::{sync::Arc, time::Duration};

use super::pace::Pace;
use crate::{
    domain::{
        balance::Balance,
        id::KeyId,
        limit::{Allowance, Limits, RateLimit, allowances},
        span::TimeWindow,
        time::Timestamp,
    },
    store::{Ask, AskSpan, Grant, Unspent},
};

/// How often a limit that is used up is asked for again: a replica that stops gives back
/// what it did not spend.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What can be said of a call without asking the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Every span has it at hand.
    Enough,
    /// It may be had, but not from what is at hand.
    Short,
    /// Some span has not so much left, whoever has it.
    Exceeded,
    /// Some window has begun of which this replica knows nothing yet.
    Unknown,
}

/// One key's spans.
#[derive(Debug)]
pub(super) struct Budget {
    plan: Arc<[RateLimit]>,
    own: Arc<Limits>,
    spans: Vec<Purse>,
    /// Since the last sweep.
    touched: bool,
}

/// One span: what is known of its window, and what is at hand.
#[derive(Debug)]
struct Purse {
    allowance: Allowance,
    held: Option<Held>,
    pace: Pace,
}

#[derive(Debug)]
struct Held {
    window: TimeWindow,
    /// To whomever, when last told.
    granted: u64,
    chunk: u64,
    /// Below this it is time for more.
    refill_below: u64,
    /// Until when it may be spent, on the clock since boot: never later than the window's end.
    until: Duration,
    told_at: Duration,
}

impl Budget {
    pub(super) fn new(plan: &Arc<[RateLimit]>, own: &Arc<Limits>) -> Self {
        let mut budget = Self { plan: Arc::clone(plan), own: Arc::clone(own), spans: Vec::new(), touched: true };
        budget.renew();
        budget
    }

    /// Follows a change of the limits: what is at hand of a span whose limit was lowered is
    /// dropped, since more may have been granted than is allowed now. A raise and a cut back
    /// to the same limit, with no call here in between, go unnoticed: what others were granted
    /// meanwhile and what is at hand here are together within the higher one.
    pub(super) fn follow(&mut self, plan: &Arc<[RateLimit]>, own: &Arc<Limits>) {
        self.touched = true;
        if Arc::ptr_eq(&self.plan, plan) && Arc::ptr_eq(&self.own, own) {
            return;
        }
        (self.plan, self.own) = (Arc::clone(plan), Arc::clone(own));
        self.renew();
    }

    fn renew(&mut self) {
        let mut before = std::mem::take(&mut self.spans);
        let keep = |allowance: Allowance| match before.iter().position(|purse| purse.allowance.is_within(&allowance)) {
            Some(at) => Purse { allowance, ..before.swap_remove(at) },
            None => Purse { allowance, held: None, pace: Pace::default() },
        };
        self.spans = allowances(&self.plan, &self.own).into_iter().map(keep).collect();
    }

    pub(super) fn standing(&self, cost: u64, boottime: Duration) -> Standing {
        let mut standing = Standing::Enough;
        for purse in &self.spans {
            let Some(held) = purse.held(boottime) else { return Standing::Unknown };
            if purse.remaining(held) < cost {
                standing = Standing::Exceeded;
            } else if held.chunk < cost && standing == Standing::Enough {
                standing = Standing::Short;
            }
        }
        standing
    }

    /// Spends `cost` of every span, or of none: only after [`Standing::Enough`].
    pub(super) fn take(&mut self, cost: u64, boottime: Duration) {
        for purse in &mut self.spans {
            purse.pace.spend(cost, boottime);
            if let Some(held) = &mut purse.held {
                held.chunk = held.chunk.saturating_sub(cost);
            }
        }
    }

    /// Whether it is time to ask for more, before a call has to wait for it.
    pub(super) fn is_low(&self) -> bool {
        self.spans.iter().any(|purse| {
            purse
                .held
                .as_ref()
                .is_some_and(|held| held.chunk < held.refill_below && held.granted < purse.allowance.limit)
        })
    }

    /// Whether it is some time ago that the store said what is used up.
    pub(super) fn may_ask_again(&self, cost: u64, boottime: Duration) -> bool {
        let oldest = self.spans.iter().filter_map(|purse| purse.held.as_ref()).map(|held| held.told_at).min();
        let can_be_met = self.spans.iter().all(|purse| cost <= purse.allowance.limit);
        can_be_met && oldest.is_some_and(|told_at| boottime >= told_at + ASK_AGAIN)
    }

    /// How every span stands; those of which nothing is known are left out.
    pub(super) fn balances(&self, cost: u64, boottime: Duration) -> Vec<Balance> {
        let balance = |purse: &Purse| {
            let held = purse.held(boottime)?;
            let remaining = purse.remaining(held);
            Some(Balance {
                name: Arc::clone(&purse.allowance.name),
                limit: purse.allowance.limit,
                remaining,
                span: purse.allowance.span,
                reset_time: held.window.end,
                exceeded: remaining < cost,
            })
        };
        self.spans.iter().filter_map(balance).collect()
    }

    /// What to ask the store for, so that a call of `cost` can be met: 0 to be told only,
    /// or to have more before the next call waits for it.
    pub(super) fn ask(&self, budget: KeyId, cost: u64, boottime: Duration) -> Ask {
        let span = |purse: &Purse| {
            let at_hand = purse.held(boottime).map_or(0, |held| held.chunk);
            let wish = if cost > 0 || purse.held(boottime).is_some() { purse.pace.wish(boottime) } else { 0 };
            AskSpan {
                span: purse.allowance.span,
                limit: purse.allowance.limit,
                short: cost.saturating_sub(at_hand),
                wish: wish.saturating_sub(at_hand),
            }
        };
        Ask { budget, spans: self.spans.iter().map(span).collect() }
    }

    /// Takes over what was granted for `ask` when the database's time was `time`, at
    /// `time_at` or later on the clock since boot. What was granted under a limit that was
    /// lowered meanwhile is lost.
    pub(super) fn put(&mut self, ask: &Ask, grants: &[Grant], time: Timestamp, time_at: Duration) {
        for (asked, grant) in ask.spans.iter().zip(grants) {
            let fits = |purse: &&mut Purse| purse.allowance.span == asked.span && asked.limit <= purse.allowance.limit;
            if let Some(purse) = self.spans.iter_mut().find(fits) {
                purse.put(*grant, time, time_at);
            }
        }
    }

    /// Empties every span, and says what was in it.
    pub(super) fn empty(&mut self, budget: KeyId, boottime: Duration) -> Vec<Unspent> {
        let unspent = self.spans.iter_mut().filter_map(|purse| {
            let held = purse.held.take().filter(|held| boottime < held.until && held.chunk > 0)?;
            Some(Unspent { budget, span: purse.allowance.span, window_start: held.window.start, amount: held.chunk })
        });
        unspent.collect()
    }

    /// Whether it was followed since this was asked last.
    pub(super) fn was_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Whether every window that is known is over.
    pub(super) fn is_idle(&self, boottime: Duration) -> bool {
        self.spans.iter().all(|purse| purse.held(boottime).is_none())
    }
}

impl Purse {
    fn held(&self, boottime: Duration) -> Option<&Held> {
        self.held.as_ref().filter(|held| boottime < held.until)
    }

    /// What is left, whoever has it: what others hold counts as spent.
    fn remaining(&self, held: &Held) -> u64 {
        self.allowance.limit.saturating_sub(held.granted) + held.chunk
    }

    fn put(&mut self, grant: Grant, time: Timestamp, time_at: Duration) {
        let until = time_at + grant.window.end.since(time);
        let at_hand = match &self.held {
            // Answers may come in another order than the asks were sent in.
            Some(held) if held.window.start > grant.window.start => return,
            Some(held) if held.window == grant.window => held.chunk,
            _ => 0,
        };
        let chunk = at_hand + grant.chunk;
        self.held = Some(Held {
            window: grant.window,
            granted: grant.granted,
            chunk,
            refill_below: chunk / 2,
            until,
            told_at: time_at,
        });
    }
}

#[cfg(test)]
mod tests;
