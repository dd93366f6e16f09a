use std::sync::Arc;

use super::{Authenticator, SignedHeaders, WINDOW};
use crate::{
    domain::refusal::Refusal,
    guard::{self, Guard},
    signing::{PublicKey, Signed},
};

/// RSA is slow and this many wait at most for each that runs: beyond it the caller is told.
const MAX_WAITING: usize = 1024;

impl Authenticator {
    /// Whether the call is dated near now. Asked before the message is waited for.
    pub fn check_window(&self, headers: &SignedHeaders<'_>) -> Result<(), Refusal> {
        let now = self.replica.now();
        let seconds = now.seconds().abs_diff(headers.time.seconds());
        if seconds > WINDOW.as_secs() && guard::on(Guard::Window) {
            return Err(Refusal::TimestampOutOfWindow { server_time: now, hint: "it is more than 300 seconds away" });
        }
        Ok(())
    }

    pub(super) async fn check_signature(
        &self,
        path: &'static str,
        headers: &SignedHeaders<'_>,
        message: &[u8],
        key: Option<Arc<PublicKey>>,
    ) -> Result<(), Refusal> {
        let text = Signed {
            audience: &self.settings.audience,
            path,
            timestamp: headers.timestamp,
            nonce: headers.nonce,
            kid: headers.kid.as_str(),
            message,
        }
        .text();
        self.verify(key, text, headers.signature.clone()).await
    }

    /// Checks an RSA signature, off the runtime and so many at a time. Without a key the decoy
    /// takes as long.
    pub(super) async fn verify(
        &self,
        key: Option<Arc<PublicKey>>,
        text: String,
        signature: Vec<u8>,
    ) -> Result<(), Refusal> {
        if !guard::on(Guard::Signature) {
            return Ok(());
        }
        let (key, line) = match key {
            Some(key) => (key, &self.checks),
            None => (Arc::clone(&self.decoy), &self.decoy_checks),
        };
        let Some(_waiting) = line.queue.enter(MAX_WAITING) else { return Err(Refusal::Overloaded) };
        let Ok(_permit) = Arc::clone(&line.permits).acquire_owned().await else { return Err(Refusal::ShuttingDown) };
        let good = tokio::task::spawn_blocking(move || key.verify(text.as_bytes(), &signature)).await;
        match good {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::SignatureInvalid),
            Err(error) => {
                tracing::error!(%error, "a signature check did not end");
                Err(Refusal::Internal)
            }
        }
    }
}
