use std::{future::pending, sync::Arc};

use tokio::sync::watch;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ConfigBuilder, ServerConfig, WantsVerifier, pki_types::CertificateDer, server::NoServerSessionStorage,
        sign::SingleCertAndKey,
    },
};

use super::{authorities::Authorities, own::Own};
use crate::{
    clock::Clock,
    guard::{self, Guard},
};

/// TLS 1.2 and 1.3.
pub(super) type Versions = ConfigBuilder<ServerConfig, WantsVerifier>;

/// What handshakes go by.
#[derive(Clone)]
pub(super) struct InUse {
    pub(super) own: Arc<Own>,
    pub(super) authorities: Option<Arc<Authorities>>,
    config: Arc<ServerConfig>,
}

impl InUse {
    pub(super) fn new(versions: Versions, own: Arc<Own>, authorities: Option<Arc<Authorities>>) -> Self {
        let builder = match &authorities {
            None => versions.with_no_client_auth(),
            Some(authorities) => versions.with_client_cert_verifier(Arc::clone(&authorities.verifier)),
        };
        let mut config = builder.with_cert_resolver(Arc::<SingleCertAndKey>::clone(&own.resolver));
        config.alpn_protocols = vec![b"h2".to_vec()];
        if authorities.is_some() {
            // A resumed session would take over a certificate without looking at it again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Self { own, authorities, config: Arc::new(config) }
    }
}

/// What one handshake goes by, and what comes afterwards.
pub(in crate::grpc) struct Handshake {
    by: InUse,
    later: watch::Receiver<InUse>,
    clock: Clock,
}

impl Handshake {
    pub(super) fn new(mut in_use: watch::Receiver<InUse>, clock: Clock) -> Self {
        let by = in_use.borrow_and_update().clone();
        Self { by, later: in_use, clock }
    }

    pub(in crate::grpc) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.by.config))
    }

    /// Done when the authorities have changed, and a handshake with this chain would be refused.
    pub(in crate::grpc) async fn refused_by_now(self, chain: Vec<CertificateDer<'static>>) {
        let Self { by, mut later, clock } = self;
        let mut known = by.authorities;
        while later.changed().await.is_ok() {
            let now = later.borrow_and_update().authorities.clone();
            // The server's own certificate is renewed more often.
            if now.as_ref().map(Arc::as_ptr) == known.as_ref().map(Arc::as_ptr) {
                continue;
            }
            let stands = now.as_ref().is_some_and(|now| now.vouch_for(&chain, clock.now()));
            if !stands && guard::on(Guard::Vouched) {
                return;
            }
            known = now;
        }
        pending().await
    }
}
