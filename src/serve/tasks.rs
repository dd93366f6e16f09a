use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};

use super::{ServeError, said};
use crate::{admin::Probe, grpc::ListenRefused, jobs, limits::Budgets, meters, replica::Stopped, store::Store};

/// What runs, and how it ends.
pub(super) struct Tasks {
    pub(super) store: Store,
    pub(super) budgets: Arc<Budgets>,
    pub(super) server: JoinHandle<Result<(), ListenRefused>>,
    pub(super) sync: JoinHandle<Result<(), Stopped>>,
    pub(super) flush: JoinHandle<()>,
    pub(super) look: JoinHandle<()>,
    pub(super) cleaning: JoinHandle<()>,
    pub(super) teller: JoinHandle<()>,
    pub(super) jobs: jobs::Running,
    pub(super) courier: JoinHandle<()>,
    pub(super) stops: Stops,
    pub(super) drain: Duration,
    pub(super) probe: Probe,
}

/// What tells each part to end.
pub(super) struct Stops {
    pub(super) server: watch::Sender<bool>,
    pub(super) courier: watch::Sender<bool>,
    pub(super) flush: watch::Sender<bool>,
    pub(super) look: watch::Sender<bool>,
    pub(super) sync: watch::Sender<bool>,
}

impl Tasks {
    /// Runs until it is told to end, or one of them ends by itself.
    pub(super) async fn run(mut self, told: watch::Receiver<bool>) -> Result<(), ServeError> {
        let ended_by_itself = tokio::select! {
            () = said(told) => None,
            ended = &mut self.sync => Some(match ended {
                Ok(Err(stopped)) => ServeError::Stopped(stopped),
                ended => lost("the sync loop", ended.map(drop)),
            }),
            ended = &mut self.server => Some(match ended {
                Ok(Err(refused)) => ServeError::Listen(refused),
                ended => lost("the server", ended.map(drop)),
            }),
            ended = &mut self.flush => Some(lost("the loop that adds usage", ended)),
            ended = &mut self.look => Some(lost("the loop that looks for what is unlike before", ended)),
            ended = &mut self.teller => Some(lost("the loop that asks for chunks of limits", ended)),
            ended = &mut self.courier => Some(lost("the courier", ended)),
            ended = &mut self.cleaning => Some(lost("housekeeping", ended)),
            lost = self.jobs.lost() => Some(ServeError::Lost(lost)),
        };
        self.cleaning.abort();
        self.probe.drains();
        tracing::info!("draining");
        self.stops.server.send_replace(true);
        self.jobs.end().await;
        if !self.server.is_finished() && tokio::time::timeout(self.drain, &mut self.server).await.is_err() {
            tracing::warn!("calls or streams did not end in time and are cut off");
            self.server.abort();
        }
        self.stops.courier.send_replace(true);
        if !self.courier.is_finished()
            && let Err(error) = (&mut self.courier).await
        {
            tracing::error!(%error, "the courier did not end; what it carried is told again at the next start");
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
        meters::observe(None);
        self.probe.ended();
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

/// What goes on for ever, and has ended.
fn lost(what: &str, ended: Result<(), JoinError>) -> ServeError {
    ServeError::Lost(ended.map_or_else(|error| format!("{what}: {error}"), |()| format!("{what} ended")))
}
