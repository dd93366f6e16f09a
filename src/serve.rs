//! The composition root: builds every part once, in the order of their dependence, and
//! takes them down in the reverse order.

mod beside;
mod failed;
mod ground;
pub mod open_files;
mod tasks;
mod told;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

pub use self::failed::ServeError;
use self::{
    beside::Beside,
    ground::Ground,
    tasks::Tasks,
    told::{Loop, said},
};
use crate::{
    admin::Probe,
    auth,
    check::{self, Finding},
    clock::Clock,
    entropy::Entropy,
    grpc::{Bound, Listen},
    guard::{self, Guard},
    housekeeping,
    jobs::Jobs,
    meters,
    notify::{self, SettingsRefused, mail::Mailer},
    replica::{Hindrance, Joined, Pace, Replica},
    signals::Signals,
    store::{DatabaseUrl, OpenError, Store},
    telemetry::Sampler,
    usage::Usage,
    watch::Limits,
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
    let mailer = options.notify.mail.clone().map(Mailer::new).transpose().map_err(SettingsRefused::from)?;
    let bound = Bound::bind(&options.listen, &options.clock).await?;
    let (address, has_tls) = (bound.address(), bound.has_tls());
    let store = open(&options).await?;
    let Options { auth, pace, limits, history, notify, drain, clock, entropy, sampler, probe, .. } = options;
    let Joined { id, replica, index, tail, sync, log_id } = Replica::join(&store, &clock, pace).await?;
    let sync = Loop::begin(|told| sync.run(said(told)));
    first_sync(&replica).await?;

    let ground = Ground { store, index, replica, clock, entropy };
    let beside = Beside::begin(&ground, &notify, mailer)?;
    let (drain_now, draining) = watch::channel(false);
    let watches = ground.watches((tail, log_id), limits, draining.clone());
    meters::observe(Some(ground.observer(watches.lags())));
    probe.serves(ground.replica.clone());
    let parts = ground.parts(&beside, watches, auth, sampler)?;
    let server = Loop { task: tokio::spawn(bound.serve(parts, draining)), stop: drain_now };

    let Ground { store, index, replica, .. } = ground;
    let (usage, signals, jobs) = (beside.usage.clone(), beside.signals.clone(), beside.jobs.handles());
    let cleaning = housekeeping::run(store.clone(), replica.clone(), Arc::clone(&beside.budgets), history);
    let cleaning = tokio::spawn(cleaning);
    let (stop, told) = watch::channel(false);
    let tasks = Tasks { store: store.clone(), server, sync, beside, cleaning, drain, probe };
    let ended = tokio::spawn(tasks.run(told));
    tracing::info!(%address, tls = has_tls, keys = index.key_count(), replica = %id, "serving");
    Ok(Running { address, has_tls, store, replica, usage, signals, jobs, stop, ended })
}

/// Opens the database, if what it acknowledges can be relied on.
async fn open(options: &Options) -> Result<Store, ServeError> {
    let store = Store::open(&options.database, options.clock.clone(), options.entropy.clone()).await?;
    let (weakness, standbys) = store.durability().await.map_err(OpenError::from)?;
    if let Some(hindrance) = Hindrance::by(standbys) {
        tracing::error!("{hindrance}");
    }
    if let (true, Some(weakness)) = (options.pace.strict && guard::on(Guard::Durability), weakness) {
        return Err(ServeError::Weak(weakness));
    }
    tell_clock(&store).await?;
    Ok(store)
}

/// Clocks that are apart stop nothing: what has a date goes by the database's, here as at the other replicas.
async fn tell_clock(store: &Store) -> Result<(), ServeError> {
    if let Some(Finding { said, advice: Some(advice), .. }) = store.ahead().await?.map(check::clock) {
        tracing::warn!("{said}: {advice}");
    }
    Ok(())
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
