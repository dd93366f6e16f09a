//! Database work in tasks of its own, and for so long at most.

use std::{future::Future, sync::PoisonError, time::Duration};

use super::{Connections, Store};
use crate::store::Error;

/// How long work may take at a server, where it is on the other side of a network: what is longer
/// without an answer will not get one.
pub(in crate::store) const UNANSWERED: Duration = Duration::from_secs(15);

impl Store {
    /// Runs database work in a task that a cancelled call cannot drop: a driver whose
    /// transaction is dropped half-way may hand the open one to the next caller.
    pub(in crate::store) async fn detached<T, F, Fut>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.detached_within(UNANSWERED, work).await
    }

    /// As [`Store::detached`], where the answer is of no use afterwards.
    pub(in crate::store) async fn detached_within<T, F, Fut>(&self, within: Duration, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Self) -> Fut,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (store, work) = (self.clone(), work(self.clone()));
        match tokio::spawn(async move { store.answered(within, work).await }).await {
            Ok(answer) => answer,
            Err(error) => Err(Error::TaskLost(error.to_string())),
        }
    }

    /// Work that may have been done when it was not answered in time.
    pub(in crate::store) async fn answered<T, E: From<Error>>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.in_time(within, work).await.unwrap_or_else(|| Err(Error::Unanswered(within).into()))
    }

    /// Gives work up that a server does not answer: nothing tells a connection whose other end is
    /// gone without a word from one that is slow, and it would be waited for until the system's
    /// own patience ends. Every connection is made anew then; whoever still has an old one keeps it.
    pub(in crate::store) async fn in_time<T>(&self, within: Duration, work: impl Future<Output = T>) -> Option<T> {
        if !self.is_shared() {
            return Some(work.await);
        }
        let renewed = *self.inner.renewed.lock().await;
        tokio::pin!(work);
        let answer = tokio::time::timeout(within, &mut work).await.ok();
        if answer.is_none() {
            // Before the work is dropped: what it leaves of a transaction goes back to connections
            // that nobody takes any more.
            self.connect_anew(renewed).await;
        }
        answer
    }

    /// Opens a file anew after a write to it failed: where COMMIT cannot write, as on a full disk, the
    /// transaction stays open in its connection, and with it the lock that every other writer waits for.
    pub async fn let_go_of_the_file(&self) {
        if !self.is_shared() {
            let renewed = *self.inner.renewed.lock().await;
            self.connect_anew(renewed).await;
        }
    }

    /// Of many that waited for the same dead connections, one makes them anew.
    async fn connect_anew(&self, since: u64) {
        let mut renewed = self.inner.renewed.lock().await;
        if *renewed != since {
            return;
        }
        *renewed += 1;
        match Box::pin(Connections::open(&self.inner.url, &self.inner.statements, true)).await {
            Ok(new) => {
                let mut connections = self.inner.connections.write().unwrap_or_else(PoisonError::into_inner);
                let old = std::mem::replace(&mut *connections, new);
                drop(connections);
                for connection in old.all() {
                    tokio::spawn(connection.close());
                }
            }
            Err(error) => tracing::error!(%error, "the connections cannot be made anew"),
        }
    }
}
