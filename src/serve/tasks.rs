use std::time::Duration;

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
    time::Instant,
};

use super::{
    ServeError,
    beside::Beside,
    told::{Loop, in_time, said},
};
use crate::{admin::Probe, grpc::ListenRefused, meters, replica::Stopped, store::Store};

/// How long all that comes behind the drain may take, together: whoever gives a process its time to end counts on it.
const BEHIND: Duration = Duration::from_secs(5);
/// Of these, what is left for the row of the replica and the connections, whatever the rest is kept waiting by.
const ROW: Duration = Duration::from_secs(1);

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
            ended = &mut self.beside.flush.task => Some(lost("the loop that adds usage", ended.map(drop))),
            ended = &mut self.beside.look.task => Some(lost("the loop that looks for what is unlike before", ended)),
            ended = &mut self.beside.teller => Some(lost("the loop that asks for chunks of limits", ended)),
            ended = &mut self.beside.courier.task => Some(lost("the courier", ended)),
            ended = &mut self.cleaning => Some(lost("housekeeping", ended)),
            lost = self.beside.jobs.lost() => Some(ServeError::Lost(lost)),
        };
        self.cleaning.abort();
        self.probe.drains();
        tracing::info!("draining");
        self.beside.jobs.stop();
        if self.server.end("the calls", true, Instant::now() + self.drain).await.is_err() {
            tracing::warn!("calls or streams did not end in time and are cut off");
        }
        self.leave(ended_by_itself).await
    }

    /// What comes behind the drain. All of it is a courtesy, but for usage: what has a claim or a row loses it by
    /// itself, and what is in hand of limits is lost until its window ends. So it waits for no database for long.
    async fn leave(mut self, ended_by_itself: Option<ServeError>) -> Result<(), ServeError> {
        let by = Instant::now() + BEHIND;
        let work_by = by - ROW;
        let Beside { budgets, teller, flush, look, courier, jobs, .. } = &mut self.beside;
        // The calls have ended: what they counted is all there is.
        let (jobs, courier, flush, look, hand) = tokio::join!(
            in_time("the claims of jobs", work_by, jobs.end()),
            courier.end("what was being told", true, work_by),
            flush.end("usage", Some(work_by), by),
            look.end("what was seen of keys last", true, work_by),
            in_time("what was in hand of limits", work_by, budgets.give_back()),
        );
        if let Ok(Err(error)) = &hand {
            tracing::warn!(%error, "what was in hand of limits was not given back");
        }
        teller.abort();
        self.sync.stop.send_replace(true);
        let (row, ended) = match ended_by_itself {
            Some(error) => (Ok(()), Err(error)),
            None => match in_time("the row of this replica", by, &mut self.sync.task).await {
                Ok(Ok(ended)) => (Ok(()), ended.map_err(ServeError::Stopped)),
                Ok(Err(error)) => (Ok(()), Err(ServeError::Lost(error.to_string()))),
                Err(late) => {
                    self.sync.task.abort();
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
