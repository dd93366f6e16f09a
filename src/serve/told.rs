//! Loops that go on until they are told to end.

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};

/// One of them, with what tells it.
pub(super) struct Loop<T> {
    pub(super) task: JoinHandle<T>,
    pub(super) stop: watch::Sender<bool>,
}

impl<T: Send + 'static> Loop<T> {
    pub(super) fn begin<F>(run: impl FnOnce(watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (stop, told) = watch::channel(false);
        Self { task: tokio::spawn(run(told)), stop }
    }

    /// Tells it to end, and waits for that, unless it has ended by itself.
    pub(super) async fn end(&mut self) -> Result<(), JoinError> {
        self.stop.send_replace(true);
        if self.task.is_finished() {
            return Ok(());
        }
        (&mut self.task).await.map(drop)
    }
}

pub(super) async fn said(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
