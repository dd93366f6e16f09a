//! What is remembered beside a key of what was told of it ahead. It is no part of the key:
//! a reminder is no new revision.

use std::time::Duration;

use super::{
    key::{Key, KeyState},
    notice::Due,
    schedule::Deed,
    time::Timestamp,
    usage::UNUSED_AFTER,
};

/// Of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Everything that was to be told up to here of its expiry, or of its renewal, was told.
    pub expiry_told: Timestamp,
    pub rotation_told: Timestamp,
    /// Its rotation could not be done, and is not tried before.
    pub held_until: Option<Timestamp>,
    /// When it is looked up whether it is in use.
    pub unused_check: Timestamp,
    /// When it was told last that it is not.
    pub unused_told: Option<Timestamp>,
}

const DAY: Duration = Duration::from_hours(24);
/// How long before something it is told.
const AHEAD: [Duration; 3] = [Duration::from_hours(30 * 24), Duration::from_hours(7 * 24), DAY];
/// How long a rotation rests that could not be done.
const HELD: Duration = DAY;

impl Timer {
    /// Of a key that nobody has had an eye on: what is past is not told.
    #[must_use]
    pub fn begin(now: Timestamp) -> Self {
        Self {
            expiry_told: now,
            rotation_told: now,
            held_until: None,
            unused_check: after(now, UNUSED_AFTER),
            unused_told: None,
        }
    }

    /// The key was changed. What was to be told of a time that is another now is void, and
    /// whoever set the new one knows it.
    pub fn follow(&mut self, before: &Key, after_it: &Key, now: Timestamp) {
        let expiry = |key: &Key| (key.expire_time, key.upkeep.auto_renew, key.upkeep.lifetime);
        if expiry(before) != expiry(after_it) {
            self.expiry_told = now;
        }
        let rotation = |key: &Key| key.upkeep.rotation.as_ref().map(|rotation| (rotation.period, rotation.next_time));
        if rotation(before) != rotation(after_it) {
            self.rotation_told = now;
        }
        self.held_until = None;
        // Nobody could use it meanwhile.
        if before.state(now) != KeyState::Active && after_it.state(now) == KeyState::Active {
            self.unused_check = self.unused_check.max(after(now, UNUSED_AFTER));
        }
    }

    /// What comes next for the key, and when.
    #[must_use]
    pub fn next_deed(&self, key: &Key, now: Timestamp) -> Option<(Timestamp, Deed)> {
        let held = self.held_until.unwrap_or(Timestamp::from_micros(i64::MIN));
        let held = move |(at, deed)| if deed == Deed::Rotate { (held.max(at), deed) } else { (at, deed) };
        key.deeds(now).map(held).min_by_key(|(at, _)| *at)
    }

    /// When somebody must look at the key again. None: not before it is changed.
    #[must_use]
    pub fn due(&self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        let deed = self.next_deed(key, now).map(|(at, _)| at);
        let [expiry, rotation] = [expiry_marks(key, now), rotation_marks(key, now)];
        let expiry = expiry.and_then(|marks| marks.after(self.expiry_told));
        let rotation = rotation.and_then(|marks| marks.after(self.rotation_told));
        let unused = key.is_kept(now).then_some(self.unused_check);
        [deed, expiry, rotation, unused].into_iter().flatten().min()
    }

    /// What is to be told ahead, with the time of what is told; of those that were passed over
    /// the latest of a kind only. Afterwards it is told.
    pub fn remind(&mut self, key: &Key, now: Timestamp) -> Vec<(Due, Timestamp)> {
        let tell = |marks: Option<Marks>, told: &mut Timestamp| {
            let marks = marks?;
            let passed = marks.between(*told, now);
            *told = now.max(*told);
            passed.then_some((marks.due, marks.time))
        };
        let expiry = tell(expiry_marks(key, now), &mut self.expiry_told);
        let rotation = tell(rotation_marks(key, now), &mut self.rotation_told);
        expiry.into_iter().chain(rotation).collect()
    }

    /// The rotation is tried again a day later.
    pub fn hold(&mut self, now: Timestamp) {
        self.held_until = Some(after(now, HELD));
    }

    /// Whether it is to be looked up when the key was used last.
    #[must_use]
    pub fn asks_for_use(&self, key: &Key, now: Timestamp) -> bool {
        key.is_kept(now) && self.unused_check <= now
    }

    /// The key was made, or used last, at `since`. Answers whether it is told that it is unused:
    /// once, until it was used and went unused again.
    pub fn used(&mut self, since: Timestamp, now: Timestamp) -> bool {
        let unused_from = after(since, UNUSED_AFTER);
        if unused_from > now {
            self.unused_check = unused_from;
            return false;
        }
        self.unused_check = after(now, UNUSED_AFTER);
        let is_new = self.unused_told.is_none_or(|told| told < since);
        if is_new {
            self.unused_told = Some(now);
        }
        is_new
    }
}

/// The moments at which one thing is told.
struct Marks {
    due: Due,
    time: Timestamp,
    at: Vec<Timestamp>,
}

impl Marks {
    fn after(&self, told: Timestamp) -> Option<Timestamp> {
        self.at.iter().copied().filter(|at| *at > told).min()
    }

    fn between(&self, told: Timestamp, now: Timestamp) -> bool {
        self.at.iter().any(|at| told < *at && *at <= now)
    }
}

/// Of its renewal, half the lifetime before the expiry or less; or of its expiry.
fn expiry_marks(key: &Key, now: Timestamp) -> Option<Marks> {
    let expires = key.expire_time.filter(|_| key.is_kept(now))?;
    let lifetime = key.upkeep.lifetime.unwrap_or_else(|| expires.since(key.create_time));
    if let Some(time) = key.renewal_time() {
        let at = vec![expires.saturating_sub(AHEAD[0].min(lifetime / 2))];
        return Some(Marks { due: Due::Renewal, time, at });
    }
    Some(Marks { due: Due::Expiry, time: expires, at: ahead(expires, lifetime) })
}

fn rotation_marks(key: &Key, now: Timestamp) -> Option<Marks> {
    let rotation = key.upkeep.rotation.as_ref().filter(|_| key.is_kept(now))?;
    let time = rotation.next_time;
    Some(Marks { due: Due::Rotation, time, at: ahead(time, rotation.period) })
}

/// Not those that would come before the whole began.
fn ahead(time: Timestamp, of: Duration) -> Vec<Timestamp> {
    AHEAD.into_iter().filter(|ahead| *ahead < of).map(|ahead| time.saturating_sub(ahead)).collect()
}

fn after(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
