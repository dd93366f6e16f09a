//! What every part stands on, and what answers calls on it.

use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use super::{ServeError, beside::Beside};
use crate::{
    accounts::Accounts,
    applications::Applications,
    audit::AuditLog,
    auth::{self, Authenticator},
    clock::Clock,
    entropy::Entropy,
    grpc::Parts,
    index::Index,
    keys::Keys,
    meters::{self, Observer},
    replica::Replica,
    store::{OpenError, Store},
    tail::Tail,
    telemetry::Sampler,
    watch::{Lags, Limits, Watches},
    webhooks::Webhooks,
};

pub(super) struct Ground {
    pub(super) store: Store,
    pub(super) index: Arc<Index>,
    pub(super) replica: Replica,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
}

impl Ground {
    /// For one part of this process, and for good.
    pub(super) fn name(&self) -> Result<Uuid, OpenError> {
        Ok(self.entropy.uuid(self.replica.now())?)
    }

    pub(super) fn watches(
        &self,
        (tail, log_id): (Arc<Tail>, Uuid),
        limits: Limits,
        draining: watch::Receiver<bool>,
    ) -> Watches {
        let (s, i, r) = self.each();
        Watches::new(s, i, tail, r, self.entropy.clone(), log_id, limits, draining)
    }

    pub(super) fn parts(
        &self,
        beside: &Beside,
        watches: Watches,
        auth: auth::Settings,
        sampler: Sampler,
    ) -> Result<Parts, ServeError> {
        let entropy = self.entropy.clone();
        let (s, i, r) = self.each();
        let auth = Arc::new(Authenticator::new(i, r, s, auth)?);
        let (s, i, r) = self.each();
        let Beside { budgets, usage, signals, messenger, .. } = beside;
        let keys = Keys::new(s, i, r, Arc::clone(budgets), usage.clone(), signals.clone(), entropy.clone());
        let (s, i, r) = self.each();
        let applications = Applications::new(s, i, r, entropy.clone());
        let (s, i, r) = self.each();
        let accounts = Accounts::new(s, i, r, entropy.clone());
        let audit = AuditLog::new(self.store.clone(), Arc::clone(&self.index));
        let (s, i, r) = self.each();
        let webhooks = Webhooks::new(s, i, r, entropy.clone(), messenger.clone());
        let replica = self.replica.clone();
        Ok(Parts { auth, keys, watches, applications, accounts, webhooks, audit, replica, entropy, sampler })
    }

    /// What is known without counting.
    pub(super) fn observer(&self, lags: Arc<Lags>) -> Observer {
        let (index, replica) = (Arc::clone(&self.index), self.replica.clone());
        Arc::new(move || {
            let now = replica.boottime();
            meters::LEASE_REST.set(replica.lease_rest(now).as_secs_f64());
            meters::LEASE_AGE.set(replica.lease_age(now).as_secs_f64());
            meters::REVISION.set_revision(index.applied().number());
            meters::KEYS.set_count(index.key_count());
            meters::ACCOUNTS.set_count(index.account_count());
            meters::APPLICATIONS.set_count(index.application_count());
            meters::WATCH_LAG.set(lags.longest(now).as_secs_f64());
        })
    }

    fn each(&self) -> (Store, Arc<Index>, Replica) {
        (self.store.clone(), Arc::clone(&self.index), self.replica.clone())
    }
}
