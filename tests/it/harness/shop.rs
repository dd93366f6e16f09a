//! Spenders over one store, without a server.

use std::{sync::Arc, time::Duration};

use portcullis::{
    clock::Clock,
    domain::{
        balance::Balance,
        id::KeyId,
        limit::{Amount, LimitName, Limits, RateLimit, Window},
        time::Timestamp,
    },
    entropy::Entropy,
    limits::{Budgets, Limited, Spending},
    store::Store,
};
use tokio::task::JoinHandle;

use super::{Data, Rows};

/// One store, and how many members it believes to have.
pub(crate) struct Shop {
    pub(crate) data: Data,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
}

/// What one replica has in hand.
pub(crate) struct Spender {
    pub(crate) budgets: Budgets,
    teller: JoinHandle<()>,
}

impl Drop for Spender {
    fn drop(&mut self) {
        self.teller.abort();
    }
}

impl Shop {
    pub(crate) async fn open(members: usize) -> Self {
        let data = Data::migrated().await;
        // 2026-11-21T00:00:00Z: every window begins here but the month's.
        let clock = Clock::manual(Timestamp::from_seconds(1_795_219_200));
        let store = Store::open(&data.database_url(), clock.clone(), Entropy::system()).await.expect("open");
        let rows = Rows::of(&data).await;
        for member in 0..members {
            let id = rows.uuid(uuid::Uuid::from_u128(member as u128));
            let sql = format!("INSERT INTO replica (id, beat, acked_seq) VALUES ({id}, 0, 0)");
            rows.change(&sql).await;
        }
        Self { data, store, clock }
    }

    pub(crate) fn spender(&self) -> Spender {
        let (budgets, teller) = Budgets::new(self.store.clone(), self.clock.clone());
        Spender { budgets, teller: tokio::spawn(teller.run()) }
    }

    pub(crate) fn spenders(&self, number: usize) -> Arc<[Spender]> {
        (0..number).map(|_| self.spender()).collect()
    }

    /// What the store says it has handed out of a key's limit.
    pub(crate) async fn granted(&self, key: KeyId, span: &str) -> i64 {
        let rows = Rows::of(&self.data).await;
        rows.number(&format!("SELECT granted FROM budget WHERE budget = '{key}' AND span = '{span}'")).await
    }
}

/// A key and what it may use.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) own: Arc<Limits>,
}

pub(crate) fn limits(limits: &[(u64, u64)]) -> Arc<Limits> {
    let limit = |(limit, seconds): &(u64, u64)| RateLimit {
        name: LimitName::parse(&format!("in-{seconds}")).expect("name"),
        limit: Amount::new(i64::try_from(*limit).expect("fits")).expect("limit"),
        window: Window::new(Duration::from_secs(*seconds)).expect("window"),
    };
    Arc::new(Limits { rate_limits: limits.iter().map(limit).collect(), quotas: Vec::new() })
}

pub(crate) fn key(of: &[(u64, u64)]) -> Key {
    Key { id: KeyId::new(uuid::Uuid::from_u128(rand::random())), own: limits(of) }
}

impl Spender {
    /// A call as VerifyKey makes it: whether it passes.
    pub(crate) async fn call(&self, key: &Key, cost: u64) -> bool {
        let none: Arc<[RateLimit]> = [].into();
        for _ in 0..64 {
            let limited = Limited { key: key.id, plan: &none, own: &key.own };
            match self.budgets.spend(limited, cost) {
                Spending::Spent(_) => return true,
                Spending::Exceeded(_) => return false,
                Spending::Lacking(lacking) => self.budgets.fill(lacking, patience()).await.expect("the store is there"),
            }
        }
        panic!("neither passed nor refused");
    }

    /// Calls until it is refused: how many passed.
    pub(crate) async fn all(&self, key: &Key) -> u64 {
        for passed in 0..100_000 {
            if !self.call(key, 1).await {
                return passed;
            }
        }
        panic!("100,000 calls, and never refused");
    }

    /// As [`Self::all`], a second after it was told that nothing is left: the first call asks
    /// again, and does not wait for the answer.
    pub(crate) async fn all_again(&self, key: &Key) -> u64 {
        let first = u64::from(self.call(key, 1).await);
        self.settled().await;
        first + self.all(key).await
    }

    /// Waits until all that it has asked for is answered: one loop asks for all, one after the other.
    pub(crate) async fn settled(&self) {
        self.look(&self::key(&[(1, 1)])).await;
    }

    pub(crate) async fn look(&self, key: &Key) -> Vec<Balance> {
        let none: Arc<[RateLimit]> = [].into();
        for _ in 0..64 {
            match self.budgets.look(Limited { key: key.id, plan: &none, own: &key.own }, 1) {
                Ok(balances) => return balances,
                Err(lacking) => self.budgets.fill(lacking, patience()).await.expect("the store is there"),
            }
        }
        panic!("never known");
    }
}

fn patience() -> tokio::time::Instant {
    tokio::time::Instant::now() + std::time::Duration::from_secs(30)
}
