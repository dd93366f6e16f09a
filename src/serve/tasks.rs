use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::Instant,
};

use super::{ServeError, said};
use crate::{admin::Probe, grpc::ListenRefused, jobs, limits::Budgets, meters, replica::Stopped, store::Store};

/// How long all that comes behind the drain may take, together: whoever gives a process its time to end counts on it.
const BEHIND: Duration = Duration::from_secs(5);
/// Of these, what is left for the row of the replica and the connections, whatever the rest is kept waiting by.
const ROW: Duration = Duration::from_secs(1);

/// What runs, and how it ends.
pub(super) struct Tasks {
    pub(super) store: Store,
    pub(super) budgets: Arc<Budgets>,
    pub(super) server: JoinHandle<Result<(), ListenRefused>>,
    pub(super) sync: JoinHandle<Result<(), Stopped>>,
    pub(super) flush: JoinHandle<u64>,
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
    pub(super) flush: watch::Sender<Option<Instant>>,
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
            ended = &mut self.flush => Some(lost("the loop that adds usage", ended.map(drop))),
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
        self.jobs.stop();
        if !self.server.is_finished() && tokio::time::timeout(self.drain, &mut self.server).await.is_err() {
            tracing::warn!("calls or streams did not end in time and are cut off");
            self.server.abort();
        }
        self.leave(ended_by_itself).await
    }

    /// What comes behind the drain. All of it is a courtesy, but for usage: what has a claim or a row loses it by
    /// itself, and what is in hand of limits is lost until its window ends. So it waits for no database for long.
    async fn leave(mut self, ended_by_itself: Option<ServeError>) -> Result<(), ServeError> {
        let by = Instant::now() + BEHIND;
        let work_by = by - ROW;
        self.stops.courier.send_replace(true);
        // The calls have ended: what they counted is all there is.
        self.stops.flush.send_replace(Some(work_by));
        self.stops.look.send_replace(true);
        let (jobs, courier, flush, look, hand) = tokio::join!(
            in_time("the claims of jobs", work_by, self.jobs.end()),
            ended("what was being told", work_by, &mut self.courier),
            ended("usage", by, &mut self.flush),
            ended("what was seen of keys last", work_by, &mut self.look),
            in_time("what was in hand of limits", work_by, self.budgets.give_back()),
        );
        if let Ok(Err(error)) = &hand {
            tracing::warn!(%error, "what was in hand of limits was not given back");
        }
        self.teller.abort();
        self.stops.sync.send_replace(true);
        let (row, ended) = match ended_by_itself {
            Some(error) => (Ok(()), Err(error)),
            None => match in_time("the row of this replica", by, &mut self.sync).await {
                Ok(Ok(ended)) => (Ok(()), ended.map_err(ServeError::Stopped)),
                Ok(Err(error)) => (Ok(()), Err(ServeError::Lost(error.to_string()))),
                Err(late) => {
                    self.sync.abort();
                    (Err(late), Ok(()))
                }
            },
        };
        meters::observe(None);
        self.probe.ended();
        let closed = in_time("the connections", by, self.store.close()).await;
        let uncounted = flush.as_ref().map_or(0, |uncounted| uncounted.unwrap_or_default());
        let usage = if uncounted > 0 { Err("usage") } else { Ok(()) };
        let undone = [jobs, courier.map(drop), flush.map(drop), usage, look.map(drop), hand.map(drop), row, closed];
        let undone: Vec<_> = undone.into_iter().filter_map(Result::err).collect();
        if !undone.is_empty() {
            let undone = undone.join(", ");
            tracing::error!(
                %undone,
                uncounted,
                "the database did not take within {BEHIND:?} what comes behind the drain, and it is given up"
            );
        }
        ended
    }
}

/// What goes on for ever, and has ended.
fn lost(what: &str, ended: Result<(), JoinError>) -> ServeError {
    ServeError::Lost(ended.map_or_else(|error| format!("{what}: {error}"), |()| format!("{what} ended")))
}

/// What `work` made, or what it was, where it was not done by then.
async fn in_time<T>(what: &'static str, by: Instant, work: impl Future<Output = T>) -> Result<T, &'static str> {
    tokio::time::timeout_at(by, work).await.map_err(|_| what)
}

/// Waits for a task that was told to end, and cuts it off where it does not. None where it had ended before.
async fn ended<T>(what: &'static str, by: Instant, task: &mut JoinHandle<T>) -> Result<Option<T>, &'static str> {
    if task.is_finished() {
        return Ok(None);
    }
    match in_time(what, by, &mut *task).await {
        Ok(Ok(ended)) => Ok(Some(ended)),
        Ok(Err(error)) => {
            tracing::error!(%error, "not done: {what}");
            Ok(None)
        }
        Err(late) => {
            task.abort();
            Err(late)
        }
    }
}
