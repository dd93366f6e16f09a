//! What is unlike before in how keys are used: told, and not too often.
//!
//! A decided call leaves its trace in memory: atomics, and no lock that calls share; what is
//! rare (a network that is new here, a limit that is reached) goes through a bounded queue.
//! Once a second the watch takes what is there, and the database knows what is new and what
//! was told. Nothing here decides about a call, and what does not fit is left out: memory is
//! bounded, whoever calls with whatever addresses. Each replica sees its own calls.

mod seen;
mod sweep;
mod watch;
mod windows;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use papaya::{HashMap, HashSet};
use tokio::sync::{Notify, mpsc, watch as channel};

use crate::{
    domain::{
        balance::Balance,
        id::KeyId,
        key::KeyType,
        signal::{Finding, Sign},
        subnet::Subnet,
        time::Timestamp,
        verdict::{KeyFacts, Verdict},
    },
    index::Index,
    replica::Replica,
    store::Store,
};
use seen::{REVOKED, Seen};
pub use watch::Watch;

/// Takes note of calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signals {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keys: HashMap<KeyId, Seen, foldhash::fast::RandomState>,
    /// Where the keys of a chain were good for a call since this was emptied last: not a word
    /// about whether that is new. Clients choose what stands here, so its hash is not a fast one.
    networks: HashSet<(KeyId, Subnet)>,
    queue: mpsc::Sender<Note>,
    /// Findings for which there was no room since somebody said so last.
    left_out: AtomicU64,
    bell: Notify,
    passes: channel::Sender<Passes>,
}

/// What is rare, on its way to the watch.
#[derive(Debug)]
enum Note {
    Found(Finding),
    /// The first refused call since the watch looked.
    Denied(KeyId),
}

/// How many times the watch looked, and up to which time all that it found was noted.
#[derive(Debug, Clone, Copy, Default)]
struct Passes {
    begun: u64,
    done: u64,
}

/// A call that was decided about a key.
#[derive(Debug)]
pub struct Decided<'a> {
    pub key: &'a KeyFacts,
    pub verdict: Verdict,
    pub client_ip: Option<IpAddr>,
    pub balances: &'a [Balance],
    /// The database's time.
    pub now: Timestamp,
}

/// Keys that are watched at once. Those that are not used give way in two hours.
const MOST_KEYS: usize = 500_000;
/// Networks of all keys.
const MOST_NETWORKS: usize = 200_000;
/// New here, of one key, in a minute: as many as are ever known of it.
const MOST_NETWORKS_OF_A_KEY: u32 = 256;
/// Between two looks.
const QUEUE: usize = 4096;
/// How long somebody waits for a look.
const PATIENCE: Duration = Duration::from_secs(15);

impl Signals {
    /// The memory, and what looks into it.
    #[must_use]
    pub fn new(store: Store, index: Arc<Index>, replica: Replica) -> (Self, Watch) {
        let (signals, notes) = Self::with_queue();
        (signals.clone(), Watch::new(signals, store, index, replica, notes))
    }

    fn with_queue() -> (Self, mpsc::Receiver<Note>) {
        let (queue, notes) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            keys: HashMap::default(),
            networks: HashSet::new(),
            queue,
            left_out: AtomicU64::new(0),
            bell: Notify::new(),
            passes: channel::Sender::default(),
        });
        (Self { shared }, notes)
    }

    /// Takes note of a decided call.
    pub fn see(&self, call: &Decided<'_>) {
        let keys = self.shared.keys.pin();
        let id = call.key.id;
        // As in `usage`: papaya's own `get_or_insert_with` lets the table fill up.
        let seen = match keys.get(&id) {
            Some(seen) => seen,
            None if keys.len() < MOST_KEYS => keys.get_or_insert(id, Seen::of(call.key)),
            None => return,
        };
        seen.count(seen::hour(call.now));
        if call.verdict == Verdict::Valid {
            // A refused call from elsewhere teaches nothing: anybody may make one.
            // Everybody may have a publishable key, and be anywhere.
            if let (KeyType::Secret, Some(address)) = (call.key.kind, call.client_ip) {
                self.meet(seen, call.key, Subnet::of(address));
            }
            return;
        }
        if seen.deny() {
            self.send(Note::Denied(id));
        }
        match call.verdict {
            Verdict::Revoked if seen.mark(REVOKED) => {
                self.found(call.key, Sign::UsedAfterRevocation);
            }
            Verdict::RateLimited | Verdict::QuotaExceeded => self.exceeded(seen, call),
            _ => {}
        }
    }

    fn meet(&self, seen: &Seen, key: &KeyFacts, network: Subnet) {
        if seen.is_near(network) {
            return;
        }
        let networks = self.shared.networks.pin();
        let here = (key.chain, network);
        if !networks.contains(&here) {
            if networks.len() >= MOST_NETWORKS || !seen.meets_one_of(MOST_NETWORKS_OF_A_KEY) {
                return;
            }
            // What does not get through is new again at the next call.
            if !networks.insert(here) || !self.found(key, Sign::Network(network)) {
                networks.remove(&here);
                return;
            }
        }
        seen.is_now_near(network);
    }

    fn exceeded(&self, seen: &Seen, call: &Decided<'_>) {
        let all = call.balances.iter().enumerate().take(REVOKED);
        for (_, balance) in all.filter(|(at, balance)| balance.exceeded && seen.mark(*at)) {
            let name = Arc::clone(&balance.name);
            let sign = if balance.is_quota() {
                Sign::QuotaExceeded { name, start: balance.span.window_at(call.now).start }
            } else {
                Sign::LimitExceeded(name)
            };
            self.found(call.key, sign);
        }
    }

    /// `false`: there is no room, and it is lost. It is sent again when it is seen again, networks
    /// at the next call and the others in a minute.
    fn found(&self, key: &KeyFacts, sign: Sign) -> bool {
        let KeyFacts { application_id, id: key_id, chain, .. } = *key;
        let sent = self.send(Note::Found(Finding { application_id, key_id, chain, sign }));
        if !sent {
            self.leave_out();
        }
        sent
    }

    fn leave_out(&self) {
        self.shared.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// How many findings were left out since this was asked last.
    fn take_left_out(&self) -> u64 {
        self.shared.left_out.swap(0, Ordering::Relaxed)
    }

    fn send(&self, note: Note) -> bool {
        self.shared.queue.try_send(note).is_ok()
    }

    /// Waits until all that was seen before is noted. `false`: the database did not take it
    /// within 15 seconds.
    pub async fn flushed(&self) -> bool {
        let mut passes = self.shared.passes.subscribe();
        let wanted = passes.borrow().begun + 1;
        self.shared.bell.notify_one();
        let done = passes.wait_for(|passes| passes.done >= wanted);
        tokio::time::timeout(PATIENCE, done).await.is_ok_and(|done| done.is_ok())
    }

    /// How many keys and networks are in memory.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.shared.keys.len(), self.shared.networks.len())
    }
}

#[cfg(test)]
mod tests;
