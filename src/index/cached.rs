use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
    time::Duration,
};

use super::Index;
use crate::domain::{application::Application, event::Event, secret::SecretHash, verdict::KeyFacts};

/// An application, and until when verifiers may answer by themselves what they were told
/// of its keys: on the clock since boot, and never less than it was.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) application: Arc<Application>,
    pub(super) cached_until: Arc<AtomicU64>,
}

/// What is noted is rounded up to this, so that many calls write it once: 2^26 ns, 67 ms.
const GRAIN: u64 = 1 << 26;

impl Index {
    /// Notes that a VALID which rests on these two may be answered again until then, and
    /// answers whether they are still what the index holds. If not, nothing was promised.
    ///
    /// The order is the whole point: first the note, then the look. [`Index::cached_until`]
    /// comes after a change, and looks after it. Each side writes, and then reads what the
    /// other writes; with a fence between on both sides, at least one of them sees the other
    /// (<https://en.cppreference.com/w/cpp/atomic/memory_order>, sequentially-consistent
    /// fences). So either this call sees the change and promises nothing, or the change
    /// waits for the promise. A note that is found already there is as good as one's own:
    /// it never goes back.
    #[must_use]
    pub fn promise(
        &self,
        hash: &SecretHash,
        key: &Arc<KeyFacts>,
        application: &Arc<Application>,
        until: Duration,
    ) -> bool {
        let tenants = self.tenants.pin();
        let Some(tenant) = tenants.get(&key.application_id) else { return false };
        let until = nanos(until).saturating_add(GRAIN - 1) & !(GRAIN - 1);
        if tenant.cached_until.load(Ordering::Relaxed) < until {
            tenant.cached_until.fetch_max(until, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        // Every change puts a new thing in the old one's place, and the old ones are held here:
        // the same address is the same thing.
        self.keys.pin().get(hash).is_some_and(|now| Arc::ptr_eq(now, key))
            && tenants.get(&key.application_id).is_some_and(|now| Arc::ptr_eq(&now.application, application))
    }

    /// Until when somebody may answer by themselves, about whichever key.
    #[must_use]
    pub fn promised_until(&self) -> Duration {
        let tenants = self.tenants.pin();
        let until = tenants.values().map(|tenant| tenant.cached_until.load(Ordering::Relaxed));
        Duration::from_nanos(until.max().unwrap_or_default())
    }

    /// Until when somebody may answer by what was before an event that is applied. Zero
    /// where nothing was taken away: nobody keeps an answer that refuses.
    #[must_use]
    pub fn cached_until(&self, event: &Event) -> Duration {
        fence(Ordering::SeqCst);
        let tenants = self.tenants.pin();
        let until = |application| tenants.get(&application).map_or(0, |it| it.cached_until.load(Ordering::Relaxed));
        let narrowed = event.revocations().map(|revocation| until(revocation.application_id));
        Duration::from_nanos(narrowed.max().unwrap_or_default())
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::atomic::AtomicBool, thread};

    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        alert::AlertThresholds,
        event::{Cause, Change, KeyChange},
        id::{ApplicationId, KeyId, Revision},
        limit::Plan,
        notice::LeakPolicy,
        text::Name,
        time::Timestamp,
    };

    const NOW: Timestamp = Timestamp::from_micros(0);

    fn application() -> Application {
        Application {
            id: ApplicationId::new(Uuid::from_u128(2)),
            name: Name::parse("a").expect("name"),
            plan: Plan::None,
            max_cache_ttl: Duration::from_secs(1),
            key_prefix: None,
            overlap: Duration::ZERO,
            notify_emails: Vec::new(),
            leak_policy: LeakPolicy::Alert,
            alert_thresholds: AlertThresholds::default(),
            create_time: NOW,
            update_time: NOW,
            revision: Revision::default(),
        }
    }

    /// By which the test tells one state of the key from another.
    fn key_id(revision: i64) -> KeyId {
        KeyId::new(Uuid::from_u128(revision.unsigned_abs().into()))
    }

    fn event(revision: i64, cause: Option<Cause>) -> Event {
        let facts = KeyFacts::plain(key_id(revision), application().id);
        let changes = vec![Change::Key(KeyChange { hash: HASH, facts, cause, imported: false })];
        Event { revision: Revision::new(revision), event_id: Uuid::nil(), time: NOW, changes }
    }

    fn loaded() -> Index {
        let index = Index::default();
        index.load(Revision::default(), vec![application()], Vec::new(), |_| Duration::ZERO).expect("load");
        index
    }

    const HASH: SecretHash = SecretHash::from_bytes([7; 32]);

    #[test]
    fn only_what_takes_something_away_waits_for_what_was_promised() {
        let index = loaded();
        index.apply(&event(1, None)).expect("apply");
        let (key, application) = (index.key(&HASH).expect("key"), index.application(application().id).expect("it"));
        assert!(index.promise(&HASH, &key, &application, Duration::from_secs(5)));
        let waits = |cause| index.cached_until(&event(2, cause));
        assert_eq!(waits(None), Duration::ZERO);
        assert!((Duration::from_secs(5)..Duration::from_millis(5_100)).contains(&waits(Some(Cause::Revoked))));
        assert!(index.promise(&HASH, &key, &application, Duration::from_secs(4)), "it never goes back");
        assert!(waits(Some(Cause::Revoked)) >= Duration::from_secs(5));
    }

    #[test]
    fn nothing_is_promised_by_a_key_or_an_application_that_has_changed() {
        let index = loaded();
        index.apply(&event(1, None)).expect("apply");
        let (key, application) = (index.key(&HASH).expect("key"), index.application(application().id).expect("it"));
        let until = Duration::from_secs(5);
        index.put_application(self::application(), Duration::ZERO);
        assert!(!index.promise(&HASH, &key, &application, until));
        let application = index.application(application.id).expect("application");
        assert!(index.promise(&HASH, &key, &application, until));
        index.apply(&event(2, Some(Cause::Narrowed))).expect("apply");
        assert!(!index.promise(&HASH, &key, &application, until));
        assert!(index.cached_until(&event(2, Some(Cause::Narrowed))) >= until, "updates keep what was promised");
    }

    /// The race that `promise` and `cached_until` must win: each change either sees every
    /// promise that was made by what was before it, or the promise sees the change.
    #[test]
    fn no_promise_slips_through_between_a_change_and_the_look_behind_it() {
        const ROUNDS: i64 = 60_000;
        let index = loaded();
        index.apply(&event(1, None)).expect("apply");
        let (grains, over) = (AtomicU64::new(1), AtomicBool::new(false));
        let promise = || {
            let application = index.application(application().id).expect("application");
            let mut made = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let key = index.key(&HASH).expect("key");
                // A later one each time, so that each has to be seen.
                let until = Duration::from_nanos(grains.fetch_add(1, Ordering::Relaxed) * GRAIN);
                if index.promise(&HASH, &key, &application, until) {
                    made.push((key.id, until));
                }
            }
            made
        };
        let (made, waited) = thread::scope(|scope| {
            let promising: Vec<_> = (0..2).map(|_| scope.spawn(promise)).collect();
            let mut waited = HashMap::new();
            for revision in 2..ROUNDS {
                let event = event(revision, Some(Cause::Narrowed));
                index.apply(&event).expect("apply");
                waited.insert(key_id(revision - 1), index.cached_until(&event));
            }
            over.store(true, Ordering::Relaxed);
            (promising.into_iter().flat_map(|made| made.join().expect("made")).collect::<Vec<_>>(), waited)
        });
        let missed = made.iter().filter(|(key, until)| waited.get(key).is_some_and(|waited| waited < until)).count();
        assert!(made.len() > 1000, "{} promises were made", made.len());
        assert_eq!(missed, 0, "of {} promises", made.len());
    }
}
