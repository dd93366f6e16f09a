use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{
    id::{ApplicationId, KeyId, Revision, ServiceAccountId},
    key::{KeyEnvironment, KeyType, Rotation},
    limit::Limits,
    lineage::Lineage,
    notice::Due,
    restriction::Restrictions,
    secret::SecretHash,
    text::{Name, Note},
    timer::Timer,
    upkeep::{RotationPolicy, Upkeep},
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: i64 = 24;

/// So many hours after the key was made.
fn at(hours: i64) -> Timestamp {
    Timestamp::from_seconds(hours * 3600)
}

fn hours(hours: i64) -> Duration {
    HOUR * u32::try_from(hours).expect("positive")
}

/// What is wanted of a key, in hours.
#[derive(Debug, Clone)]
struct Wish {
    lifetime: Option<i64>,
    auto_renew: bool,
    /// How often, and whether by itself.
    rotation: Option<(i64, bool)>,
    overlap: i64,
    disabled: bool,
}

fn key(wish: &Wish) -> Key {
    let id = |number| Uuid::from_u128(number);
    let kid = "a".repeat(43).parse().expect("a kid");
    Key {
        id: KeyId::new(id(1)),
        application_id: ApplicationId::new(id(2)),
        name: Name::parse("k").expect("name"),
        description: Note::default(),
        kind: KeyType::Secret,
        environment: KeyEnvironment::Live,
        prefix: "sk_live_000000".to_owned(),
        hash: SecretHash::from_bytes([1; 32]),
        imported: false,
        permissions: Vec::new(),
        restrictions: Restrictions::default(),
        limits: Limits::default(),
        labels: Vec::new(),
        disabled: wish.disabled,
        create_time: at(0),
        update_time: at(0),
        expire_time: wish.lifetime.map(at),
        expired: false,
        revoked: None,
        lineage: Lineage::first(KeyId::new(id(1))),
        upkeep: Upkeep {
            auto_renew: wish.auto_renew && wish.lifetime.is_some(),
            lifetime: wish.lifetime.map(hours),
            rotation: wish
                .rotation
                .map(|(period, by_itself)| RotationPolicy::begin(hours(period), by_itself.then_some(kid), at(0))),
        },
        created_by: ServiceAccountId::new(id(3)),
        revision: Revision::default(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Ended,
    Renewed,
    Rotated,
    Expired,
    Told(Kind, i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Expiry,
    Renewal,
    Rotation,
}

fn kind(due: Due) -> Kind {
    match due {
        Due::Expiry => Kind::Expiry,
        Due::Renewal => Kind::Renewal,
        Due::Rotation => Kind::Rotation,
    }
}

fn hour(time: Timestamp) -> i64 {
    time.seconds() / 3600
}

/// One look at the key, as the job does it.
fn look(key: &mut Key, timer: &mut Timer, overlap: i64, now: Timestamp) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some((_, deed)) = timer.next_deed(key, now).filter(|(at, _)| *at <= now) {
        assert!(seen.len() < 8, "it comes to an end: {seen:?}");
        let was = key.clone();
        seen.push(match deed {
            Deed::EndOverlap => {
                assert!(key.end_overlap(now));
                Seen::Ended
            }
            Deed::Renew => {
                key.renew(now).expect("renewed");
                Seen::Renewed
            }
            Deed::Rotate => {
                let rotation = Rotation {
                    successor: KeyId::new(Uuid::from_u128(9)),
                    prefix: String::new(),
                    hash: SecretHash::from_bytes([2; 32]),
                    created_by: key.created_by,
                    overlap: hours(overlap),
                    expire_time: None,
                };
                key.rotate(rotation, now).expect("rotated");
                Seen::Rotated
            }
            Deed::Expire => {
                key.expire(now);
                Seen::Expired
            }
        });
        timer.follow(&was, key, now);
    }
    seen.extend(timer.remind(key, now).into_iter().map(|(due, time)| Seen::Told(kind(due), hour(time))));
    if timer.asks_for_use(key, now) {
        timer.used(now, now);
    }
    seen
}

/// The same rules once more, by walking from hour to hour, without a thought of how to find
/// the next one.
fn walk(wish: &Wish, until: i64) -> Vec<(i64, Seen)> {
    let mut seen = Vec::new();
    let mut expires = wish.lifetime;
    let (mut end, mut ended, mut expired) = (None, false, false);
    let life = wish.lifetime.unwrap_or(0);
    for t in 0..=until {
        if end == Some(t) && !ended {
            ended = true;
            seen.push((t, Seen::Ended));
        }
        let lives = |ended: bool, end: Option<i64>, expires: Option<i64>| {
            !ended && !wish.disabled && end.is_none() && expires.is_none_or(|at| t < at)
        };
        // In tenths of an hour, since a tenth of a lifetime may be less than one.
        let ahead = (10 * 7 * DAY).min(life);
        if let Some(at) = expires.filter(|at| wish.auto_renew && 10 * t >= 10 * at - ahead)
            && lives(ended, end, expires)
        {
            expires = Some(at + life);
            seen.push((t, Seen::Renewed));
        }
        if let Some((period, true)) = wish.rotation
            && t >= period
            && lives(ended, end, expires)
        {
            seen.push((t, Seen::Rotated));
            end = Some(expires.map_or(t + wish.overlap, |at| at.min(t + wish.overlap)));
            ended = end == Some(t);
        }
        if expires == Some(t) && !ended && !expired {
            expired = true;
            seen.push((t, Seen::Expired));
        }
        if !lives(ended, end, expires) {
            continue;
        }
        if let Some(at) = expires {
            let renewed = at - (7 * DAY).min(life / 10);
            if wish.auto_renew && 2 * t == 2 * at - (2 * 30 * DAY).min(life) {
                seen.push((t, Seen::Told(Kind::Renewal, renewed)));
            }
            if !wish.auto_renew && [30, 7, 1].iter().any(|days| days * DAY < life && t == at - days * DAY) {
                seen.push((t, Seen::Told(Kind::Expiry, at)));
            }
        }
        if let Some((period, _)) = wish.rotation
            && [30, 7, 1].iter().any(|days| days * DAY < period && t == period - days * DAY)
        {
            seen.push((t, Seen::Told(Kind::Rotation, period)));
        }
    }
    seen
}

fn wish() -> impl Strategy<Value = Wish> {
    // Whole hours, and tenths and halves of them that are whole, too.
    let lifetime = proptest::option::of((1_i64..250).prop_map(|n| 20 * n));
    let rotation = proptest::option::of((24_i64..3000, any::<bool>()));
    (lifetime, any::<bool>(), rotation, 0_i64..100, proptest::bool::weighted(0.1)).prop_map(
        |(lifetime, auto_renew, rotation, overlap, disabled)| Wish {
            lifetime,
            auto_renew,
            rotation,
            overlap,
            disabled,
        },
    )
}

const UNTIL: i64 = 6000;

proptest! {
    /// Whoever looks when it is due, and only then, does what somebody does who looks at every hour.
    #[test]
    fn a_look_at_the_due_times_misses_nothing_and_does_nothing_twice(wish in wish()) {
        let (mut key, mut timer) = (key(&wish), Timer::begin(at(0)));
        let mut seen = Vec::new();
        let mut now = at(0);
        while let Some(due) = timer.due(&key, now).filter(|due| *due <= at(UNTIL)) {
            prop_assert!(due > now || now == at(0), "time goes on: {due}");
            now = due;
            seen.extend(look(&mut key, &mut timer, wish.overlap, now).into_iter().map(|it| (hour(now), it)));
        }
        prop_assert_eq!(seen, walk(&wish, UNTIL));
    }

    /// However long nobody looked: little is told at once, nothing that has ended comes back, and
    /// nothing is due afterwards.
    #[test]
    fn after_downtime_nothing_storms_and_nothing_wakes(
        wish in wish(), looks in proptest::collection::vec(1_i64..3000, 1..6), back in 0_i64..2,
    ) {
        let (mut key, mut timer) = (key(&wish), Timer::begin(at(0)));
        let (mut t, mut ended) = (0, false);
        for pause in looks {
            t += pause;
            let was = key.state(at(t));
            ended |= matches!(was, KeyState::Expired | KeyState::Revoked);
            let seen = look(&mut key, &mut timer, wish.overlap, at(t));
            prop_assert!(seen.len() <= 4, "{seen:?}");
            for kind in [Kind::Expiry, Kind::Renewal, Kind::Rotation] {
                prop_assert!(seen.iter().filter(|it| matches!(it, Seen::Told(of, _) if *of == kind)).count() <= 1);
            }
            prop_assert!(!ended || matches!(key.state(at(t)), KeyState::Expired | KeyState::Revoked), "it woke");
            if seen.contains(&Seen::Renewed) {
                prop_assert!(key.expire_time > Some(at(t)));
            }
            // An hour back, as a clock may be set: what was done stays done.
            let now = at(t - back);
            prop_assert!(!ended || matches!(key.state(now), KeyState::Expired | KeyState::Revoked), "it woke");
            prop_assert_eq!(look(&mut key, &mut timer, wish.overlap, now), vec![], "nothing twice");
            prop_assert!(timer.due(&key, at(t)).is_none_or(|due| due > at(t)));
        }
    }
}

#[test]
fn what_ends_with_its_successor_unfetched_stays_open_until_it_is_closed() {
    let wish = Wish { lifetime: None, auto_renew: false, rotation: None, overlap: 0, disabled: false };
    for (lifetime, expected) in [(None, at(148)), (Some(1000), at(148)), (Some(120), at(120))] {
        let mut key = key(&Wish { lifetime, ..wish.clone() });
        let rotation = Rotation {
            successor: KeyId::new(Uuid::from_u128(9)),
            prefix: String::new(),
            hash: SecretHash::from_bytes([2; 32]),
            created_by: key.created_by,
            overlap: Duration::MAX,
            expire_time: None,
        };
        key.rotate(rotation, at(10)).expect("rotated");
        assert!(key.overlap_is_open() && !key.is_revoked(at(119)));
        assert!(key.close_overlap(hours(48), at(100)), "not beyond its expiry");
        assert_eq!(key.lineage.successor.map(|successor| successor.overlap_end_time), Some(expected));
        assert!(!key.close_overlap(hours(480), at(101)), "an end stays as it is");
    }
}

#[test]
fn a_key_is_told_to_be_unused_once_until_it_was_used_again() {
    let mut timer = Timer::begin(at(0));
    let days = |days: i64| at(days * DAY);
    assert!(!timer.used(days(10), days(90)), "used after it was made");
    assert_eq!(timer.unused_check, days(100));
    assert!(timer.used(days(10), days(100)));
    assert!(!timer.used(days(10), days(190)), "told already");
    assert!(!timer.used(days(191), days(280)), "used since");
    assert_eq!(timer.unused_check, days(281));
    assert!(timer.used(days(191), days(281)), "and unused again");
}
