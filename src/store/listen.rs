//! The doorbell between replicas. A hint only: everything holds without it, a period later. It tells
//! nothing, it is lost while its connection is made anew, and nobody relies on it.

use std::time::Duration;

use sea_orm::{DbErr, sqlx::postgres::PgListener};
use secrecy::SecretString;

use super::{Store, connect::doorbell, url::Place};

/// Who writes rings at its commit: see `log::next_revision`.
pub(super) const CHANNEL: &str = "portcullis";
const RETRY: Duration = Duration::from_secs(1);
/// A connection on which nothing is heard for so long may be dead, and is made anew.
const SILENT: Duration = Duration::from_secs(30);

impl Store {
    /// Calls `ring` whenever another replica may have written something. Never ends.
    pub async fn listen(&self, ring: impl Fn() + Send) {
        let Place::Postgres(url) = self.place() else { return std::future::pending().await };
        loop {
            if let Err(error) = hear(url, &ring).await {
                tracing::debug!(%error, "the doorbell is not heard, trying again; revisions are found once a second");
            }
            // What rang meanwhile was not heard.
            ring();
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn hear(url: &SecretString, ring: &impl Fn()) -> Result<(), Unheard> {
    let mut listener = PgListener::connect_with(&doorbell(url)?).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    // `None`: the connection is lost.
    while let Ok(heard) = tokio::time::timeout(SILENT, listener.try_recv()).await
        && heard?.is_some()
    {
        while listener.next_buffered().is_some() {}
        ring();
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error(transparent)]
    Url(#[from] DbErr),
    #[error(transparent)]
    Server(#[from] sea_orm::sqlx::Error),
}
