//! Rate limits and quotas, over all replicas together, without asking anybody in the
//! steady state: the database hands out chunks of each window's budget, and a chunk is spent
//! in memory by the one replica that holds it.
//!
//! Never above a limit: what is in no hand is in the database, and what was granted and may
//! have been lost is never granted again. All of it while callers keep asking: a chunk is no
//! more than what one replica spends in a second, and at most half of its share of the rest.

mod budget;
mod pace;
mod teller;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use papaya::HashMap;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use teller::Teller;

use crate::{
    clock::Clock,
    domain::{
        balance::Balance,
        id::KeyId,
        limit::{Limits, RateLimit},
        refusal::Refusal,
        time::Timestamp,
    },
    store::{Ask, Error, Grant, Store},
};
use budget::{Budget, Standing};
use teller::Lack;

/// What every key has in hand on this replica.
#[derive(Debug)]
pub struct Budgets {
    store: Store,
    clock: Clock,
    keys: HashMap<KeyId, Arc<Purses>>,
    lacks: mpsc::Sender<Lack>,
}

/// The limits that hold for a key: its application's plan's, and its own.
#[derive(Debug, Clone, Copy)]
pub struct Limited<'a> {
    pub key: KeyId,
    pub plan: &'a Arc<[RateLimit]>,
    pub own: &'a Arc<Limits>,
}

/// What became of a call.
#[derive(Debug)]
pub enum Spending {
    /// It was spent: it passes.
    Spent(Vec<Balance>),
    /// Some limit has not so much left. Nothing was spent.
    Exceeded(Vec<Balance>),
    /// It cannot be said without the store: [`Budgets::fill`], then ask again.
    Lacking(Lacking),
}

/// What the store must be asked for.
#[derive(Debug)]
pub struct Lacking {
    purses: Arc<Purses>,
    cost: u64,
}

/// One key's purses.
#[derive(Debug)]
struct Purses {
    key: KeyId,
    budget: Mutex<Budget>,
    /// One call asks; the others wait, and then look again.
    turn: tokio::sync::Mutex<()>,
    /// More is on its way, and nobody waits for it.
    refilling: AtomicBool,
}

/// How many asks may wait.
const WAITING: usize = 4096;
/// How long a call waits for one to be answered.
const PATIENCE: Duration = Duration::from_secs(5);

impl Budgets {
    /// And the loop that fills them.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> (Self, Teller) {
        let (lacks, receiver) = mpsc::channel(WAITING);
        let teller = Teller { store: store.clone(), clock: clock.clone(), lacks: receiver };
        (Self { store, clock, keys: HashMap::new(), lacks }, teller)
    }

    /// Spends `cost` of each of the key's limits, or of none. Never waits.
    pub fn spend(&self, limited: Limited<'_>, cost: u64) -> Spending {
        if limited.is_unlimited() {
            return Spending::Spent(Vec::new());
        }
        let boottime = self.clock.boottime();
        let purses = self.purses(limited);
        let mut budget = purses.follow(limited);
        match budget.standing(cost, boottime) {
            Standing::Enough => {
                budget.take(cost, boottime);
                let (balances, is_low) = (budget.balances(0, boottime), budget.is_low());
                drop(budget);
                if is_low {
                    self.refill(&purses);
                }
                Spending::Spent(balances)
            }
            Standing::Exceeded => {
                let (balances, ask_again) = (budget.balances(cost, boottime), budget.may_ask_again(cost, boottime));
                drop(budget);
                if ask_again {
                    self.refill(&purses);
                }
                Spending::Exceeded(balances)
            }
            Standing::Short | Standing::Unknown => {
                drop(budget);
                Spending::Lacking(Lacking { purses, cost })
            }
        }
    }

    /// How the key's limits stand for a call of `cost`, which is not spent. What is lacking
    /// is knowledge only.
    pub fn look(&self, limited: Limited<'_>, cost: u64) -> Result<Vec<Balance>, Lacking> {
        if limited.is_unlimited() {
            return Ok(Vec::new());
        }
        let boottime = self.clock.boottime();
        let purses = self.purses(limited);
        let budget = purses.follow(limited);
        if budget.standing(cost, boottime) == Standing::Unknown {
            drop(budget);
            return Err(Lacking { purses, cost: 0 });
        }
        Ok(budget.balances(cost, boottime))
    }

    /// Asks the store for what is lacking. Others may be faster in spending it: look again
    /// afterwards. UNAVAILABLE when the store does not answer: it is not known then whether
    /// the limit is reached. Not after `until`, nor for more than 5 seconds.
    pub async fn fill(&self, lacking: Lacking, until: Instant) -> Result<(), Refusal> {
        let Lacking { purses, cost } = lacking;
        let filled = async {
            let _turn = purses.turn.lock().await;
            if !purses.lacks(cost, self.clock.boottime()) {
                return Ok(()); // somebody else has asked meanwhile
            }
            let (told, answer) = oneshot::channel();
            let lack = Lack { purses: Arc::clone(&purses), cost, told: Some(told) };
            self.lacks.send(lack).await.map_err(|_| Refusal::ShuttingDown)?;
            answer.await.unwrap_or(Err(Refusal::ShuttingDown))
        };
        let until = until.min(Instant::now() + PATIENCE);
        tokio::time::timeout_at(until, filled).await.unwrap_or(Err(Refusal::StoreUnavailable))
    }

    /// Asks for more, and nobody waits for it.
    fn refill(&self, purses: &Arc<Purses>) {
        if purses.refilling.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.lacks.try_send(Lack { purses: Arc::clone(purses), cost: 0, told: None }).is_err() {
            purses.refilling.store(false, Ordering::Release);
        }
    }

    /// Gives back what was not spent, once, at the end: whoever spends afterwards finds
    /// nothing at hand.
    pub async fn give_back(&self) -> Result<(), Error> {
        let boottime = self.clock.boottime();
        let unspent: Vec<_> = {
            let keys = self.keys.pin();
            keys.values().flat_map(|purses| purses.lock().empty(purses.key, boottime)).collect()
        };
        if unspent.is_empty() { Ok(()) } else { self.store.give_back(unspent).await }
    }

    /// Forgets keys whose windows are all over, and that nobody asked about since the last
    /// sweep: what is on its way must find its purse.
    pub fn sweep(&self) {
        let boottime = self.clock.boottime();
        self.keys.pin().retain(|_, purses| {
            let mut budget = purses.lock();
            budget.was_touched() || !budget.is_idle(boottime)
        });
    }

    fn purses(&self, limited: Limited<'_>) -> Arc<Purses> {
        let new = || {
            Arc::new(Purses {
                key: limited.key,
                budget: Mutex::new(Budget::new(limited.plan, limited.own)),
                turn: tokio::sync::Mutex::default(),
                refilling: AtomicBool::new(false),
            })
        };
        let keys = self.keys.pin();
        // Not `get_or_insert_with`: papaya 0.2 lets the table fill up under it, and every later
        // look-up pays.
        Arc::clone(keys.get(&limited.key).unwrap_or_else(|| keys.get_or_insert(limited.key, new())))
    }
}

impl Limited<'_> {
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.plan.is_empty() && self.own.is_empty()
    }
}

impl Purses {
    fn lock(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, limited: Limited<'_>) -> MutexGuard<'_, Budget> {
        let mut budget = self.lock();
        budget.follow(limited.plan, limited.own);
        budget
    }

    fn lacks(&self, cost: u64, boottime: Duration) -> bool {
        matches!(self.lock().standing(cost, boottime), Standing::Short | Standing::Unknown)
    }

    fn ask(&self, cost: u64, boottime: Duration) -> Ask {
        self.lock().ask(self.key, cost, boottime)
    }

    fn put(&self, ask: &Ask, grants: &[Grant], time: Timestamp, time_at: Duration) {
        self.lock().put(ask, grants, time, time_at);
    }

    /// An ask of it was answered.
    fn asked(&self) {
        self.refilling.store(false, Ordering::Release);
    }
}
