//! Loops that go on until they are told to end.

use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// One of them, with what tells it.
pub(super) struct Loop<T, Told = bool> {
    pub(super) task: JoinHandle<T>,
    pub(super) stop: watch::Sender<Told>,
}

impl<T: Send + 'static, Told: Default> Loop<T, Told> {
    pub(super) fn begin<F>(run: impl FnOnce(watch::Receiver<Told>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (stop, told) = watch::channel(Told::default());
        Self { task: tokio::spawn(run(told)), stop }
    }

    /// Tells it to end, waits for that, and cuts it off where it takes longer. What it ended with, unless it had
    /// ended by itself.
    pub(super) async fn end(&mut self, what: &'static str, told: Told, by: Instant) -> Result<Option<T>, &'static str> {
        if self.task.is_finished() {
            return Ok(None);
        }
        self.stop.send_replace(told);
        match in_time(what, by, &mut self.task).await {
            Ok(Ok(ended)) => Ok(Some(ended)),
            Ok(Err(error)) => {
                tracing::error!(%error, "not done: {what}");
                Ok(None)
            }
            Err(late) => {
                self.task.abort();
                Err(late)
            }
        }
    }
}

/// What `work` made, or what it was, where it was not done by then.
pub(super) async fn in_time<T>(
    what: &'static str,
    by: Instant,
    work: impl Future<Output = T>,
) -> Result<T, &'static str> {
    tokio::time::timeout_at(by, work).await.map_err(|_| what)
}

pub(super) async fn said(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
