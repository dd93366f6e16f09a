//! The composition root: builds every part once, in the order of their dependence, and
//! takes them down in the reverse order.

mod failed;
pub mod open_files;
mod tasks;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

pub use self::failed::ServeError;
use self::tasks::{Stops, Tasks};
use crate::{
    accounts::Accounts,
    admin::Probe,
    applications::Applications,
    audit::AuditLog,
    auth::{self, Authenticator},
    check::{self, Finding},
    clock::Clock,
    entropy::Entropy,
    grpc::{Bound, Listen, Parts},
    guard::{self, Guard},
    housekeeping,
    index::Index,
    jobs::{self, Jobs, KeyJob, SealJob},
    keys::Keys,
    limits::Budgets,
    meters::{self, Observer},
    notify::{self, Courier, Messenger, SettingsRefused, mail::Mailer},
    replica::{Hindrance, Joined, Pace, Replica},
    signals::Signals,
    store::{DatabaseUrl, OpenError, Store},
    telemetry::Sampler,
    usage::Usage,
    watch::{Lags, Limits, Watches},
    webhooks::Webhooks,
};

/// Everything that a server is made of.
#[derive(Debug, Clone)]
pub struct Options {
    pub database: DatabaseUrl,
    pub listen: Listen,
    pub auth: auth::Settings,
    pub pace: Pace,
    pub limits: Limits,
    /// How far back a watcher may resume.
    pub history: Duration,
    /// Who is told of what happens.
    pub notify: notify::Settings,
    /// How long calls and streams may take to end.
    pub drain: Duration,
    pub clock: Clock,
    pub entropy: Entropy,
    pub sampler: Sampler,
    /// Who asks, beside the calls, how the server is.
    pub probe: Probe,
}

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    has_tls: bool,
    store: Store,
    replica: Replica,
    usage: Usage,
    signals: Signals,
    jobs: Jobs,
    stop: watch::Sender<bool>,
    ended: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its own URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.has_tls { "https" } else { "http" }, self.address)
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Tells it to end: it refuses new calls, ends its streams with a last bookmark, and
    /// leaves.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// What [`Running::stop`] does, for somebody who waits for the end meanwhile.
    #[must_use]
    pub fn stopper(&self) -> watch::Sender<bool> {
        self.stop.clone()
    }

    /// Waits for the end, by [`Running::stop`] or by itself.
    pub async fn ended(self) -> Result<(), ServeError> {
        match self.ended.await {
            Ok(ended) => ended,
            Err(error) => Err(ServeError::Lost(error.to_string())),
        }
    }
}

/// Starts a server; it is fresh when this returns.
pub async fn start(options: Options) -> Result<Running, ServeError> {
    let Options { database, listen, auth, pace, limits, history, notify, drain, clock, entropy, sampler, probe } =
        options;
    let mailer = notify.mail.clone().map(Mailer::new).transpose().map_err(SettingsRefused::from)?;
    let bound = Bound::bind(&listen, &clock).await?;
    let (address, has_tls) = (bound.address(), bound.has_tls());
    let store = Store::open(&database, clock.clone(), entropy.clone()).await?;
    let (weakness, standbys) = store.durability().await.map_err(OpenError::from)?;
    if let Some(hindrance) = Hindrance::by(standbys) {
        tracing::error!("{hindrance}");
    }
    if let (true, Some(weakness)) = (pace.strict && guard::on(Guard::Durability), weakness) {
        return Err(ServeError::Weak(weakness));
    }
    tell_clock(&store).await?;
    let Joined { id, replica, index, tail, sync, log_id } = Replica::join(&store, &clock, pace).await?;

    let (stop_sync, stopped) = watch::channel(false);
    let sync = tokio::spawn(sync.run(said(stopped)));
    first_sync(&replica).await?;

    let (budgets, teller) = Budgets::new(store.clone(), clock.clone());
    let budgets = Arc::new(budgets);
    let teller = tokio::spawn(teller.run());
    let (usage, flush) = Usage::new(store.clone());
    let (stop_flush, stopped) = watch::channel(None);
    let flush = tokio::spawn(flush.run(stopped));
    let (signals, look) = Signals::new(store.clone(), Arc::clone(&index), replica.clone());
    let (stop_look, stopped) = watch::channel(false);
    let look = tokio::spawn(look.run(said(stopped)));

    let mut jobs = jobs::Running::new(store.clone(), entropy.uuid(replica.now()).map_err(OpenError::from)?);
    jobs.start(KeyJob::new(store.clone(), replica.clone(), entropy.clone()));
    jobs.start(SealJob::new(store.clone(), replica.clone()));
    let handles = jobs.handles();

    let messenger = Messenger::new(&notify, clock);
    let sender = entropy.uuid(replica.now()).map_err(OpenError::from)?;
    let (s, e) = ((store.clone(), replica.clone()), entropy.clone());
    let courier = Courier::new(s, messenger.clone(), mailer, e, sender, notify.every);
    let (stop_courier, stopped) = watch::channel(false);
    let courier = tokio::spawn(courier.run(said(stopped)));

    let (drain_now, draining) = watch::channel(false);
    let part = || (store.clone(), Arc::clone(&index), replica.clone());
    let (s, i, r) = part();
    let keys = Keys::new(s, i, r, Arc::clone(&budgets), usage.clone(), signals.clone(), entropy.clone());
    let (s, i, r) = part();
    let applications = Applications::new(s, i, r, entropy.clone());
    let (s, i, r) = part();
    let accounts = Accounts::new(s, i, r, entropy.clone());
    let audit = AuditLog::new(store.clone(), Arc::clone(&index));
    let (s, i, r) = part();
    let webhooks = Webhooks::new(s, i, r, entropy.clone(), messenger);
    let (s, i, r) = part();
    let watches = Watches::new(s, i, tail, r, entropy.clone(), log_id, limits, draining.clone());
    meters::observe(Some(observer(&index, &replica, watches.lags())));
    probe.serves(replica.clone());
    let (s, i, r) = part();
    let auth = Arc::new(Authenticator::new(i, r, s, auth)?);
    let parts = Parts {
        auth,
        keys,
        watches,
        applications,
        accounts,
        webhooks,
        audit,
        replica: replica.clone(),
        entropy,
        sampler,
    };

    let server = tokio::spawn(bound.serve(parts, draining));
    let cleaning = tokio::spawn(housekeeping::run(store.clone(), replica.clone(), Arc::clone(&budgets), history));
    let (stop, told) = watch::channel(false);
    let stops = Stops { server: drain_now, courier: stop_courier, flush: stop_flush, look: stop_look, sync: stop_sync };
    let tasks = Tasks {
        store: store.clone(),
        budgets,
        server,
        sync,
        flush,
        look,
        cleaning,
        teller,
        jobs,
        courier,
        stops,
        drain,
        probe,
    };
    let ended = tokio::spawn(tasks.run(told));
    tracing::info!(%address, tls = has_tls, keys = index.key_count(), replica = %id, "serving");
    Ok(Running { address, has_tls, store, replica, usage, signals, jobs: handles, stop, ended })
}

/// Clocks that are apart stop nothing: what has a date goes by the database's, here as at the other replicas.
async fn tell_clock(store: &Store) -> Result<(), ServeError> {
    if let Some(Finding { said, advice: Some(advice), .. }) = store.ahead().await?.map(check::clock) {
        tracing::warn!("{said}: {advice}");
    }
    Ok(())
}

/// What is known without counting.
fn observer(index: &Arc<Index>, replica: &Replica, lags: Arc<Lags>) -> Observer {
    let (index, replica) = (Arc::clone(index), replica.clone());
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

/// Nothing is answered before the first turn of the loop, so nothing listens before it; but where the database
/// was restored, callers are to hear of it.
async fn first_sync(replica: &Replica) -> Result<(), ServeError> {
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        if replica.fresh().await.is_ok() || replica.is_unconfirmed() {
            return Ok(());
        }
    }
    Err(ServeError::Lost(match replica.hindrance() {
        Some(hindrance) => format!("no sync with the database succeeded: {hindrance}"),
        None => "no sync with the database succeeded; its log lines say why".to_owned(),
    }))
}

async fn said(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
