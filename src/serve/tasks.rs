use std::time::Duration;

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};

use super::{
    ServeError,
    beside::Beside,
    told::{Loop, said},
};
use crate::{admin::Probe, grpc::ListenRefused, meters, replica::Stopped, store::Store};

/// What runs, and how it ends.
pub(super) struct Tasks {
    pub(super) store: Store,
    pub(super) server: Loop<Result<(), ListenRefused>>,
    pub(super) sync: Loop<Result<(), Stopped>>,
    pub(super) beside: Beside,
    pub(super) cleaning: JoinHandle<()>,
    pub(super) drain: Duration,
    pub(super) probe: Probe,
}

impl Tasks {
    /// Runs until it is told to end, or one of them ends by itself.
    pub(super) async fn run(mut self, told: watch::Receiver<bool>) -> Result<(), ServeError> {
        let ended_by_itself = tokio::select! {
            () = said(told) => None,
            ended = &mut self.sync.task => Some(match ended {
                Ok(Err(stopped)) => ServeError::Stopped(stopped),
                ended => lost("the sync loop", ended.map(drop)),
            }),
            ended = &mut self.server.task => Some(match ended {
                Ok(Err(refused)) => ServeError::Listen(refused),
                ended => lost("the server", ended.map(drop)),
            }),
            ended = &mut self.beside.flush.task => Some(lost("the loop that adds usage", ended)),
            ended = &mut self.beside.look.task => Some(lost("the loop that looks for what is unlike before", ended)),
            ended = &mut self.beside.teller => Some(lost("the loop that asks for chunks of limits", ended)),
            ended = &mut self.beside.courier.task => Some(lost("the courier", ended)),
            ended = &mut self.cleaning => Some(lost("housekeeping", ended)),
            lost = self.beside.jobs.lost() => Some(ServeError::Lost(lost)),
        };
        self.cleaning.abort();
        self.probe.drains();
        tracing::info!("draining");
        self.server.stop.send_replace(true);
        self.beside.jobs.end().await;
        if tokio::time::timeout(self.drain, self.server.end()).await.is_err() {
            tracing::warn!("calls or streams did not end in time and are cut off");
            self.server.task.abort();
        }
        if let Err(error) = self.beside.courier.end().await {
            tracing::error!(%error, "the courier did not end; what it carried is told again at the next start");
        }
        // The calls have ended: what they counted is all there is.
        if let Err(error) = self.beside.flush.end().await {
            tracing::error!(%error, "the last usage may be lost");
        }
        if let Err(error) = self.beside.look.end().await {
            tracing::error!(%error, "what was seen of keys last may be lost");
        }
        self.give_back().await;
        self.beside.teller.abort();
        self.sync.stop.send_replace(true);
        let ended = match ended_by_itself {
            Some(error) => Err(error),
            None => match self.sync.task.await {
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
        match tokio::time::timeout(WITHIN, self.beside.budgets.give_back()).await {
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
