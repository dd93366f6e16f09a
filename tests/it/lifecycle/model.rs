//! The naive model of a key's life: what the documents promise, and nothing of how it is done.
//! Time is in seconds since the test began.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select, strategy::BoxedStrategy};
use proptest_state_machine::ReferenceStateMachine;

pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;
/// What every key may be used in a day, it and its chain together.
pub(super) const LIMIT: u64 = 4;
/// So much passes while the harness starts a server again.
const RESTART: i64 = 3;
/// More keys than these would only take time.
const MOST: usize = 8;

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// Of the server's clock when the test began.
    pub(super) start: i64,
    pub(super) now: i64,
    pub(super) keys: Vec<Key>,
    /// By chain and day.
    spent: BTreeMap<(usize, i64), u64>,
    /// What watchers were told, in order.
    pub(super) told: Vec<(usize, Told)>,
    /// What came of the last step.
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The first of its chain.
    chain: usize,
    pub(super) expires: Option<i64>,
    lifetime: Option<i64>,
    told_expired: bool,
    disabled: bool,
    revoked: bool,
    renews: bool,
    /// Its successor, and until when it is good beside it.
    pub(super) next: Option<(usize, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    Revoked,
    Disabled,
    Expired,
    Rotated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Valid,
    Revoked,
    Expired,
    Disabled,
    RateLimited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Outcome {
    #[default]
    Done,
    Refused(&'static str),
    Verdict(Verdict),
}

/// Keys are named by a number that is taken modulo how many there are.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Create {
        ttl: Option<i64>,
        renews: bool,
    },
    Rotate {
        key: usize,
        overlap: Option<i64>,
    },
    ExpireIn {
        key: usize,
        seconds: i64,
    },
    ExpireNever {
        key: usize,
    },
    Renew {
        key: usize,
        on: bool,
    },
    EndOverlapIn {
        key: usize,
        seconds: i64,
    },
    Disable {
        key: usize,
        on: bool,
    },
    Revoke {
        key: usize,
    },
    Spend {
        key: usize,
    },
    Pass {
        seconds: i64,
    },
    Restart,
    /// An hour, while the server is stopped.
    ClockBack,
}

/// A second before and after what is round, too.
fn seconds() -> impl Strategy<Value = i64> {
    let round = select(vec![1, 60, HOUR, DAY - HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY, 100 * DAY]);
    (round, -1_i64..=1).prop_map(|(round, off)| (round + off).max(1))
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { start: 1_795_219_203, ..Self::default() }).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let create = (proptest::option::of(seconds()), any::<bool>())
            .prop_map(|(ttl, renews)| Step::Create { ttl, renews: renews && ttl.is_some_and(|ttl| ttl >= HOUR) });
        if state.keys.is_empty() {
            return create.boxed();
        }
        let key = 0_usize..MOST;
        let passed = prop_oneof![3 => seconds(), 1 => Just(0), 1 => -DAY..0];
        prop_oneof![
            2 => create,
            4 => (key.clone(), proptest::option::of(prop_oneof![2 => seconds(), 1 => Just(0)]))
                .prop_map(|(key, overlap)| Step::Rotate { key, overlap }),
            3 => (key.clone(), passed.clone()).prop_map(|(key, seconds)| Step::ExpireIn { key, seconds }),
            1 => key.clone().prop_map(|key| Step::ExpireNever { key }),
            1 => (key.clone(), any::<bool>()).prop_map(|(key, on)| Step::Renew { key, on }),
            2 => (key.clone(), passed).prop_map(|(key, seconds)| Step::EndOverlapIn { key, seconds }),
            2 => (key.clone(), any::<bool>()).prop_map(|(key, on)| Step::Disable { key, on }),
            1 => key.clone().prop_map(|key| Step::Revoke { key }),
            3 => key.prop_map(|key| Step::Spend { key }),
            6 => seconds().prop_map(|seconds| Step::Pass { seconds }),
            1 => Just(Step::Restart),
            1 => Just(Step::ClockBack),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, step: &Step) -> bool {
        let makes = matches!(step, Step::Create { .. } | Step::Rotate { .. });
        let needs_none = matches!(step, Step::Create { .. } | Step::Pass { .. } | Step::Restart | Step::ClockBack);
        // What is left of a day to which a clock goes back is another matter.
        let is_another_day = (state.start + state.now).rem_euclid(DAY) < HOUR;
        if matches!(step, Step::ClockBack) && is_another_day {
            return false;
        }
        (needs_none || !state.keys.is_empty()) && !(makes && state.keys.len() >= MOST)
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.outcome = Outcome::Done;
        if let Err(reason) = state.take(step) {
            state.outcome = Outcome::Refused(reason);
        }
        state.do_what_is_due();
        state
    }
}

impl Model {
    pub(super) fn key_of(&self, step: &Step) -> Option<usize> {
        match step {
            Step::Create { .. } | Step::Pass { .. } | Step::Restart | Step::ClockBack => None,
            Step::Rotate { key, .. }
            | Step::ExpireIn { key, .. }
            | Step::ExpireNever { key }
            | Step::Renew { key, .. }
            | Step::EndOverlapIn { key, .. }
            | Step::Disable { key, .. }
            | Step::Revoke { key }
            | Step::Spend { key } => Some(key % self.keys.len()),
        }
    }

    pub(super) fn verdict(&self, key: usize) -> Verdict {
        let known = &self.keys[key];
        if self.is_over(key) {
            Verdict::Revoked
        } else if known.told_expired || known.expires.is_some_and(|at| at <= self.now) {
            Verdict::Expired
        } else if known.disabled {
            Verdict::Disabled
        } else if self.spent_today(key) >= LIMIT {
            Verdict::RateLimited
        } else {
            Verdict::Valid
        }
    }

    fn is_over(&self, key: usize) -> bool {
        self.keys[key].revoked || self.keys[key].next.is_some_and(|(_, end)| end <= self.now)
    }

    fn today(&self, key: usize) -> (usize, i64) {
        (self.keys[key].chain, (self.start + self.now).div_euclid(DAY))
    }

    fn spent_today(&self, key: usize) -> u64 {
        self.spent.get(&self.today(key)).copied().unwrap_or_default()
    }

    fn take(&mut self, step: &Step) -> Result<(), &'static str> {
        let Some(key) = self.key_of(step) else {
            match *step {
                Step::Create { ttl, renews } => self.create(ttl, renews),
                Step::Pass { seconds } => self.now += seconds,
                Step::Restart => self.now += RESTART,
                // What has ended stays so: it is written down by now.
                Step::ClockBack => self.now += RESTART - HOUR,
                _ => {}
            }
            return Ok(());
        };
        if let Step::Spend { .. } = step {
            let verdict = self.verdict(key);
            if verdict == Verdict::Valid {
                *self.spent.entry(self.today(key)).or_default() += 1;
            }
            self.outcome = Outcome::Verdict(verdict);
            return Ok(());
        }
        if self.is_over(key) {
            // To end what has ended is no mistake.
            return if matches!(step, Step::Revoke { .. }) { Ok(()) } else { Err("KEY_REVOKED") };
        }
        self.change(key, step)
    }

    fn create(&mut self, ttl: Option<i64>, renews: bool) {
        self.keys.push(Key {
            chain: self.keys.len(),
            expires: ttl.map(|ttl| self.now + ttl),
            lifetime: ttl,
            told_expired: false,
            disabled: false,
            revoked: false,
            renews,
            next: None,
        });
    }

    /// A key that has not ended.
    fn change(&mut self, key: usize, step: &Step) -> Result<(), &'static str> {
        let (now, made) = (self.now, self.keys.len());
        let known = &mut self.keys[key];
        match *step {
            Step::Rotate { overlap, .. } => {
                if known.next.is_some() {
                    return Err("KEY_ALREADY_ROTATED");
                }
                if known.told_expired || known.expires.is_some_and(|at| at <= now) {
                    return Err("FIELD_INVALID");
                }
                let successor = known.clone();
                let end = now + overlap.unwrap_or(2 * DAY);
                known.next = Some((made, known.expires.map_or(end, |at| at.min(end))));
                known.revoked = overlap == Some(0);
                if known.revoked {
                    self.told.push((key, Told::Rotated));
                }
                self.keys.push(successor);
            }
            Step::ExpireIn { seconds, .. } => {
                let at = now + seconds;
                if known.expires != Some(at) {
                    if at <= now {
                        return Err("FIELD_INVALID");
                    }
                    let is_kept = known.renews && !known.disabled && known.next.is_none();
                    let is_sooner = known.expires.is_none_or(|then| at < then);
                    let is_near = seconds <= 7 * DAY && 10 * seconds <= known.lifetime.unwrap_or(seconds);
                    if is_kept && is_sooner && is_near {
                        // It would be put off a moment later.
                        return Err("FIELD_INVALID");
                    }
                    known.lifetime = known.lifetime.or(Some(seconds));
                    known.told_expired = false;
                    known.expires = Some(at);
                    known.next = known.next.map(|(next, end)| (next, end.min(at)));
                }
            }
            Step::ExpireNever { .. } => {
                if known.renews {
                    return Err("FIELD_INVALID");
                }
                (known.expires, known.lifetime, known.told_expired) = (None, None, false);
            }
            Step::Renew { on, .. } => {
                if on && known.lifetime.is_none_or(|lifetime| lifetime < HOUR) {
                    return Err("FIELD_INVALID");
                }
                known.renews = on;
            }
            Step::EndOverlapIn { seconds, .. } => {
                let Some((next, _)) = known.next.filter(|_| seconds > 0) else { return Err("FIELD_INVALID") };
                let end = now + seconds;
                known.next = Some((next, known.expires.map_or(end, |at| at.min(end))));
            }
            Step::Disable { on, .. } => {
                if on && !known.disabled {
                    self.told.push((key, Told::Disabled));
                }
                known.disabled = on;
            }
            Step::Revoke { .. } => {
                known.revoked = true;
                self.told.push((key, Told::Revoked));
            }
            Step::Create { .. } | Step::Spend { .. } | Step::Pass { .. } | Step::Restart | Step::ClockBack => {}
        }
        Ok(())
    }

    /// What the service does by itself once the time has come.
    fn do_what_is_due(&mut self) {
        let now = self.now;
        for (at, key) in self.keys.iter_mut().enumerate().filter(|(_, key)| !key.revoked) {
            if key.next.is_some_and(|(_, end)| end <= now) {
                key.revoked = true;
                self.told.push((at, Told::Rotated));
            } else if !key.told_expired && key.expires.is_some_and(|expires| expires <= now) {
                key.told_expired = true;
                self.told.push((at, Told::Expired));
            } else if let (Some(expires), Some(lifetime)) = (&mut key.expires, key.lifetime)
                && key.renews
                && !key.disabled
                && !key.told_expired
                && key.next.is_none()
            {
                let ahead = (7 * DAY).min(lifetime / 10);
                while *expires - ahead <= now {
                    *expires += lifetime;
                }
            }
        }
    }
}
