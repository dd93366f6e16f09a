//! Random histories of several spenders of one key's limits.

mod world;

use proptest::prelude::*;

use self::world::{Amounts, World, limits};
use super::*;

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
