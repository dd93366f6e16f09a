use std::sync::Arc;

use super::{Authenticator, Call, SignedHeaders, WINDOW};
use crate::{
    domain::refusal::Refusal,
    guard::{self, Guard},
    signing::{PublicKey, Signed},
};

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
        call: Call<'_>,
        headers: &SignedHeaders<'_>,
        message: &[u8],
        key: Option<Arc<PublicKey>>,
    ) -> Result<(), Refusal> {
        let text = Signed {
            audience: &self.settings.audience,
            path: call.method.path,
            timestamp: headers.timestamp,
            nonce: headers.nonce,
            kid: headers.kid.as_str(),
            message,
        }
        .text();
        self.verify(call, key, text, headers.signature.clone()).await
    }

    /// Checks an RSA signature, off the runtime, and not more often than is allowed. Without a key
    /// the decoy takes as long.
    pub(super) async fn verify(
        &self,
        call: Call<'_>,
        key: Option<Arc<PublicKey>>,
        text: String,
        signature: Vec<u8>,
    ) -> Result<(), Refusal> {
        if !guard::on(Guard::Signature) {
            return Ok(());
        }
        let peer = call.peer.map(|peer| peer.ip());
        let _turn = self.checks.turn(key.is_some(), peer, self.replica.boottime()).await?;
        let key = key.unwrap_or_else(|| Arc::clone(&self.decoy));
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
