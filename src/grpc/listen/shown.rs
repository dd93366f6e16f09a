use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::task::coop::unconstrained;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::{
    domain::certificate::ClientCertificate,
    grpc::tls::{Handshake, client_certificate},
};

/// What a client has shown at its handshake, and whether it would still be let in by it.
pub(super) struct Shown {
    pub(super) certificate: Arc<ClientCertificate>,
    refused: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Shown {
    pub(super) fn new(chain: &[CertificateDer<'_>], handshake: Handshake) -> Result<Self, String> {
        let own = chain.first().ok_or("an empty chain of certificates")?;
        let certificate = Arc::new(client_certificate(own)?);
        let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
        // Unconstrained: whoever sends without a pause leaves a connection nothing of its turn but this.
        let refused = Box::pin(unconstrained(handshake.refused_by_now(chain)));
        Ok(Self { certificate, refused })
    }

    /// Ready when it would be let in no more.
    pub(super) fn poll_refused(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.refused.as_mut().poll(context));
        self.refused = Box::pin(poll_fn(|_| Poll::Ready(()))); // whenever it is asked again
        Poll::Ready(())
    }
}
