//! Spenders against a naive teller that keeps the rules of `store/budgets.rs`.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::domain::limit::{Amount, LimitName, Quota, QuotaPeriod, Window};

/// 2026-11-21T00:00:00Z.
const BEGIN: i64 = 1_795_219_200_000_000;

/// Limits of 10, 60 and 3600 seconds and a day; 0: none.
type Amounts = [u64; 4];

fn limits([ten, minute, hour, day]: Amounts) -> Arc<Limits> {
    let limit = |name: &str, amount, seconds| {
        let (name, limit) = (LimitName::parse(name).expect("name"), Amount::new(amount as i64).ok()?);
        Some(RateLimit { name, limit, window: Window::new(Duration::from_secs(seconds)).expect("window") })
    };
    let rate_limits = [limit("ten", ten, 10), limit("minute", minute, 60), limit("hour", hour, 3600)];
    let quota = Amount::new(day as i64).ok().map(|limit| Quota { limit, period: QuotaPeriod::Day });
    Arc::new(Limits { rate_limits: rate_limits.into_iter().flatten().collect(), quotas: quota.into_iter().collect() })
}

/// An answer that is under way: for whom, and what was granted when.
type Answer = (usize, Ask, Vec<Grant>, Timestamp, Duration);

struct World {
    plan: Arc<[RateLimit]>,
    own: Arc<Limits>,
    spenders: Vec<Budget>,
    boottime: Duration,
    /// Of the teller.
    wall: i64,
    latest: i64,
    rows: HashMap<Span, (TimeWindow, u64)>,
    under_way: Vec<Answer>,
    spent: HashMap<(Span, i64), u64>,
    /// The highest limit of a window so far.
    highest: HashMap<(Span, i64), u64>,
    /// Every spender hears of every change of the limits, and not of the last one only; no
    /// answer is under way meanwhile.
    all_hear: bool,
    /// How much of what is wished for is granted, in 255ths.
    generosity: u64,
}

impl World {
    fn new(spenders: usize, amounts: Amounts) -> Self {
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

    fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.max(self.latest))
    }

    fn advance(&mut self, by: Duration) {
        self.boottime += by;
        self.wall += by.as_micros() as i64;
        self.latest = self.latest.max(self.wall);
    }

    /// Nothing of a span above its limit, nothing at all where not all can be met, and
    /// never back to an older window.
    fn grant(&mut self, ask: &Ask) -> Vec<Grant> {
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
    fn ask(&mut self, who: usize, cost: u64) -> Answer {
        self.spenders[who].follow(&self.plan, &self.own);
        let ask = self.spenders[who].ask(KeyId::new(uuid::Uuid::nil()), cost, self.boottime);
        let grants = self.grant(&ask);
        (who, ask, grants, self.time(), self.boottime)
    }

    fn deliver(&mut self, (who, ask, grants, time, time_at): Answer) {
        self.spenders[who].put(&ask, &grants, time, time_at);
    }

    /// A call as `Budgets` makes it.
    fn call(&mut self, who: usize, cost: u64) -> bool {
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
    fn take(&mut self, who: usize, cost: u64) {
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
    fn hear(&mut self) {
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

    fn give_back(&mut self, who: usize) {
        for unspent in self.spenders[who].empty(KeyId::new(uuid::Uuid::nil()), self.boottime) {
            if let Some((window, granted)) = self.rows.get_mut(&unspent.span)
                && window.start == unspent.window_start
            {
                *granted = granted.checked_sub(unspent.amount).expect("no more than was granted");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Call {
        who: usize,
        cost: u64,
    },
    /// Asks, and the answer takes its time.
    Ask {
        who: usize,
        cost: u64,
    },
    /// Some answer arrives, or is lost.
    Arrive {
        which: usize,
        lost: bool,
    },
    Advance(u64),
    /// The teller's time of day is set back.
    Back(u64),
    Limits(Amounts),
    Plan(Option<u64>),
    GiveBack(usize),
    /// With all that it has.
    Vanish(usize),
    Generosity(u64),
}

const SPENDERS: usize = 3;

fn amounts() -> impl Strategy<Value = Amounts> {
    let amount = || prop_oneof![1 => Just(0_u64), 3 => 1_u64..40];
    [amount(), amount(), amount(), amount()]
}

fn step() -> impl Strategy<Value = Step> {
    let (who, cost) = (|| 0..SPENDERS, || prop_oneof![3 => Just(1_u64), 2 => 1_u64..12]);
    prop_oneof![
        30 => (who(), cost()).prop_map(|(who, cost)| Step::Call { who, cost }),
        8 => (who(), 0_u64..6).prop_map(|(who, cost)| Step::Ask { who, cost }),
        8 => (0_usize..4, prop::bool::weighted(0.3)).prop_map(|(which, lost)| Step::Arrive { which, lost }),
        8 => prop_oneof![0_u64..3_000_000, 0_u64..70_000_000, Just(10_000_000)].prop_map(Step::Advance),
        1 => (0_u64..30_000_000).prop_map(Step::Back),
        3 => amounts().prop_map(Step::Limits),
        1 => prop::option::of(1_u64..40).prop_map(Step::Plan),
        2 => who().prop_map(Step::GiveBack),
        2 => who().prop_map(Step::Vanish),
        2 => (0_u64..=255).prop_map(Step::Generosity),
    ]
}

fn run(world: &mut World, step: Step) {
    match step {
        Step::Call { who, cost } => drop(world.call(who, cost)),
        Step::Ask { who, cost } => {
            let answer = world.ask(who, cost);
            world.under_way.push(answer);
        }
        Step::Arrive { which, lost } if which < world.under_way.len() => {
            let answer = world.under_way.remove(which);
            if !lost {
                world.deliver(answer);
            }
        }
        Step::Arrive { .. } => {}
        Step::Advance(micros) => world.advance(Duration::from_micros(micros)),
        Step::Back(micros) => world.wall -= micros as i64,
        Step::Limits(amounts) => world.own = limits(amounts),
        Step::Plan(minute) => {
            let minute = minute.map(|amount| limits([0, amount, 0, 0]).rate_limits.clone());
            world.plan = minute.unwrap_or_default().into();
        }
        Step::GiveBack(who) => world.give_back(who),
        Step::Vanish(who) => {
            world.under_way.retain(|answer| answer.0 != who);
            world.spenders[who] = Budget::new(&world.plan, &world.own);
        }
        Step::Generosity(generosity) => world.generosity = generosity,
    }
}

proptest! {
    /// `World::take` looks at every spend. Where a limit was raised and lowered again within
    /// one window, a spender that asked nothing in between may still spend what it had in
    /// hand: the window stays within the highest limit that it had.
    #[test]
    fn no_window_ever_sees_more_than_its_limit(
        first in amounts(),
        all_hear: bool,
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut world = World { all_hear, ..World::new(SPENDERS, first) };
        for step in steps {
            world.hear();
            run(&mut world, step);
        }
    }

    #[test]
    fn while_all_keep_asking_and_nothing_is_lost_all_of_the_lowest_limit_is_spent(
        first in amounts().prop_filter("some limit", |amounts| amounts.iter().any(|amount| *amount > 0)),
        generosity in 0_u64..=255,
        calls in prop::collection::vec((0..SPENDERS, 0_u64..20_000), 300),
    ) {
        let mut world = World::new(SPENDERS, first);
        world.generosity = generosity;
        let lowest = first.into_iter().filter(|amount| *amount > 0).min().expect("some limit");
        let mut passed = 0;
        for (who, micros) in calls {
            passed += u64::from(world.call(who, 1));
            world.advance(Duration::from_micros(micros));
        }
        // Under 10 seconds have gone by: it is the first window of each.
        prop_assert_eq!(passed, lowest);
    }

    #[test]
    fn what_is_given_back_is_spent_by_the_others(amount in 1_u64..40, calls in 0_u64..10, generosity in 0_u64..=255) {
        let mut world = World::new(2, [0, 0, amount, 0]);
        world.generosity = generosity;
        let mut passed = (0..calls).filter(|_| world.call(0, 1)).count() as u64;
        passed += (0..50).filter(|_| world.call(1, 1)).count() as u64;
        world.give_back(0);
        world.advance(ASK_AGAIN);
        passed += (0..50).filter(|_| world.call(1, 1)).count() as u64;
        prop_assert_eq!(passed, amount);
    }
}

#[test]
fn a_raised_limit_keeps_what_is_at_hand_and_a_lowered_one_drops_it() {
    let mut world = World::new(1, [0, 20, 0, 0]);
    assert!(world.call(0, 1));
    let at_hand = |world: &World| world.spenders[0].spans[0].held.as_ref().map(|held| held.chunk);
    let before = at_hand(&world);
    assert!(before.is_some_and(|chunk| chunk > 0));
    for (amounts, expected) in [([0, 30, 0, 0], before), ([0, 19, 0, 0], None)] {
        world.own = limits(amounts);
        world.spenders[0].follow(&world.plan, &world.own);
        assert_eq!(at_hand(&world), expected);
    }
}

#[test]
fn a_grant_of_an_older_window_is_passed_over() {
    let mut world = World::new(1, [10, 0, 0, 0]);
    let late = world.ask(0, 1);
    world.advance(Duration::from_secs(10));
    assert!(world.call(0, 3));
    let before = world.spenders[0].balances(1, world.boottime);
    world.deliver(late);
    assert_eq!(world.spenders[0].balances(1, world.boottime), before);
}

#[test]
fn the_largest_limits_and_costs_overflow_nothing() {
    use crate::domain::limit::{MAX_COST, MAX_LIMIT};
    let mut world = World::new(2, [MAX_LIMIT; 4]);
    world.generosity = 1;
    for who in (0..SPENDERS - 1).cycle().take(1000) {
        assert!(world.call(who, MAX_COST));
    }
    // All the rest in one chunk, as if a second had taken as much.
    let mut ask = world.ask(0, 0).1;
    ask.spans.iter_mut().for_each(|span| span.short = span.limit - world.rows[&span.span].1);
    let grants = world.grant(&ask);
    assert!(grants.iter().all(|grant| grant.granted == MAX_LIMIT));
    world.deliver((0, ask, grants, world.time(), world.boottime));
    for balance in world.spenders[0].balances(MAX_COST, world.boottime) {
        assert!(balance.remaining <= MAX_LIMIT - 500 * MAX_COST && !balance.exceeded, "{balance:?}");
    }
    world.spenders[0].take(u64::MAX, world.boottime);
    assert!(world.spenders[0].balances(1, world.boottime).iter().all(|balance| balance.remaining == 0));
    assert!(!world.spenders[0].may_ask_again(MAX_LIMIT + 1, world.boottime + ASK_AGAIN), "it can never be met");
}
