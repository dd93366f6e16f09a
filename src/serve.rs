//! The composition root: builds every part once, in the order of their dependence, and
//! takes them down in the reverse order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    accounts::Accounts,
    applications::Applications,
    audit::AuditLog,
    auth::{self, Authenticator},
    clock::Clock,
    entropy::Entropy,
    grpc::{Bound, Listen, ListenRefused, Parts},
    housekeeping,
    jobs::{self, Jobs, KeyJob, SealJob},
    keys::Keys,
    limits::Budgets,
    replica::{Joined, Pace, Replica, Stopped},
    signals::Signals,
    signing::PublicKeyRefused,
    store::{DatabaseUrl, OpenError, Store},
    telemetry::Sampler,
    usage::Usage,
    watch::{Limits, Watches},
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
    /// How long calls and streams may take to end.
    pub drain: Duration,
    pub clock: Clock,
    pub entropy: Entropy,
    pub sampler: Sampler,
}

/// Why a server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Listen(#[from] ListenRefused),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("this replica cannot serve any more: {0}")]
    Stopped(#[from] Stopped),
    #[error("the built-in decoy key: {0}")]
    Decoy(#[from] PublicKeyRefused),
    #[error("a part of the server ended unexpectedly: {0}")]
    Lost(String),
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
    let Options { database, listen, auth, pace, limits, history, drain, clock, entropy, sampler } = options;
    let bound = Bound::bind(&listen).await?;
    let (address, has_tls) = (bound.address(), bound.has_tls());
    let store = Store::open(&database, clock.clone(), entropy.clone()).await?;
    let Joined { replica, index, tail, sync, log_id } = Replica::join(&store, &clock, pace).await?;

    let (stop_sync, stopped) = watch::channel(false);
    let sync = tokio::spawn(sync.run(said(stopped)));
    first_sync(&replica).await?;

    let (budgets, teller) = Budgets::new(store.clone(), clock);
    let budgets = Arc::new(budgets);
    let teller = tokio::spawn(teller.run());
    let (usage, flush) = Usage::new(store.clone());
    let (stop_flush, stopped) = watch::channel(false);
    let flush = tokio::spawn(flush.run(said(stopped)));
    let (signals, look) = Signals::new(store.clone(), Arc::clone(&index), replica.clone());
    let (stop_look, stopped) = watch::channel(false);
    let look = tokio::spawn(look.run(said(stopped)));

    let mut jobs = jobs::Running::new(store.clone(), entropy.uuid(replica.now()).map_err(OpenError::from)?);
    jobs.start(KeyJob::new(store.clone(), replica.clone(), entropy.clone()));
    jobs.start(SealJob::new(store.clone(), replica.clone()));
    let handles = jobs.handles();

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
    let watches = Watches::new(s, i, tail, r, entropy.clone(), log_id, limits, draining.clone());
    let (s, i, r) = part();
    let auth = Arc::new(Authenticator::new(i, r, s, auth)?);
    let parts =
        Parts { auth, keys, watches, applications, accounts, audit, replica: replica.clone(), entropy, sampler };

    let server = tokio::spawn(bound.serve(parts, draining));
    let cleaning = tokio::spawn(housekeeping::run(store.clone(), replica.clone(), Arc::clone(&budgets), history));
    let (stop, told) = watch::channel(false);
    let stops = Stops { server: drain_now, flush: stop_flush, look: stop_look, sync: stop_sync };
    let tasks =
        Tasks { store: store.clone(), budgets, server, sync, flush, look, cleaning, teller, jobs, stops, drain };
    let ended = tokio::spawn(tasks.run(told));
    tracing::info!(%address, tls = has_tls, keys = index.key_count(), "serving");
    Ok(Running { address, has_tls, store, replica, usage, signals, jobs: handles, stop, ended })
}

/// Nothing is answered before the first turn of the loop, so nothing listens before it.
async fn first_sync(replica: &Replica) -> Result<(), ServeError> {
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        if replica.fresh().await.is_ok() {
            return Ok(());
        }
    }
    Err(ServeError::Lost("no sync with the database succeeded; its log lines say why".to_owned()))
}

async fn said(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What runs, and how it ends.
struct Tasks {
    store: Store,
    budgets: Arc<Budgets>,
    server: JoinHandle<Result<(), ListenRefused>>,
    sync: JoinHandle<Result<(), Stopped>>,
    flush: JoinHandle<()>,
    look: JoinHandle<()>,
    cleaning: JoinHandle<()>,
    teller: JoinHandle<()>,
    jobs: jobs::Running,
    stops: Stops,
    drain: Duration,
}

/// What tells each part to end.
struct Stops {
    server: watch::Sender<bool>,
    flush: watch::Sender<bool>,
    look: watch::Sender<bool>,
    sync: watch::Sender<bool>,
}

impl Tasks {
    async fn run(mut self, told: watch::Receiver<bool>) -> Result<(), ServeError> {
        let ended_by_itself = tokio::select! {
            () = said(told) => None,
            ended = &mut self.sync => Some(match ended {
                Ok(Err(stopped)) => ServeError::Stopped(stopped),
                Ok(Ok(())) => ServeError::Lost("the sync loop ended".to_owned()),
                Err(error) => ServeError::Lost(error.to_string()),
            }),
            ended = &mut self.server => Some(match ended {
                Ok(Err(refused)) => ServeError::Listen(refused),
                Ok(Ok(())) => ServeError::Lost("the server ended".to_owned()),
                Err(error) => ServeError::Lost(error.to_string()),
            }),
            ended = &mut self.flush => Some(match ended {
                Ok(()) => ServeError::Lost("the loop that adds usage ended".to_owned()),
                Err(error) => ServeError::Lost(error.to_string()),
            }),
            ended = &mut self.look => Some(match ended {
                Ok(()) => ServeError::Lost("the loop that looks for what is unlike before ended".to_owned()),
                Err(error) => ServeError::Lost(error.to_string()),
            }),
            ended = &mut self.teller => Some(match ended {
                Ok(()) => ServeError::Lost("the loop that asks for chunks of limits ended".to_owned()),
                Err(error) => ServeError::Lost(error.to_string()),
            }),
            lost = self.jobs.lost() => Some(ServeError::Lost(lost)),
        };
        self.cleaning.abort();
        tracing::info!("draining");
        self.stops.server.send_replace(true);
        self.jobs.end().await;
        if !self.server.is_finished() && tokio::time::timeout(self.drain, &mut self.server).await.is_err() {
            tracing::warn!("calls or streams did not end in time and are cut off");
            self.server.abort();
        }
        // The calls have ended: what they counted is all there is.
        self.stops.flush.send_replace(true);
        if !self.flush.is_finished()
            && let Err(error) = (&mut self.flush).await
        {
            tracing::error!(%error, "the last usage may be lost");
        }
        self.stops.look.send_replace(true);
        if !self.look.is_finished()
            && let Err(error) = (&mut self.look).await
        {
            tracing::error!(%error, "what was seen of keys last may be lost");
        }
        self.give_back().await;
        self.teller.abort();
        self.stops.sync.send_replace(true);
        let ended = match ended_by_itself {
            Some(error) => Err(error),
            None => match self.sync.await {
                Ok(ended) => ended.map_err(ServeError::Stopped),
                Err(error) => Err(ServeError::Lost(error.to_string())),
            },
        };
        self.store.close().await;
        ended
    }

    /// What is in hand of limits. What does not get back in time is lost until its window ends.
    async fn give_back(&self) {
        const WITHIN: Duration = Duration::from_secs(5);
        match tokio::time::timeout(WITHIN, self.budgets.give_back()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what was in hand of limits was not given back"),
            Err(_) => tracing::warn!("what was in hand of limits was not given back within {WITHIN:?}"),
        }
    }
}
