use std::{path::Path, sync::Arc, time::Duration};

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{
    TlsRefused,
    certificate::validity,
    read::{self, Print, certificates, no_certificate, provider},
};
use crate::domain::time::Timestamp;

const CLIENT_CA: &str = "--tls-client-ca";

/// Who may sign certificates of clients.
pub(super) struct Authorities {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// Of the first of them to end.
    pub(super) end_time: Timestamp,
    print: Print,
}

impl Authorities {
    pub(super) async fn open(path: &Path, required: bool) -> Result<Self, TlsRefused> {
        Self::load(path, &read::file(CLIENT_CA, path).await?, required)
    }

    /// What the file holds now, if it is something else.
    pub(super) async fn renewed(&self, path: &Path, required: bool) -> Result<Option<Self>, TlsRefused> {
        let pem = read::file(CLIENT_CA, path).await?;
        if read::print(&[&pem]) == self.print { Ok(None) } else { Self::load(path, &pem, required).map(Some) }
    }

    fn load(path: &Path, pem: &[u8], required: bool) -> Result<Self, TlsRefused> {
        let named = || path.display().to_string();
        let refused = |error: &dyn std::fmt::Display| TlsRefused::ClientCa { path: named(), what: error.to_string() };
        let mut roots = RootCertStore::empty();
        let mut ends = Vec::new();
        for authority in certificates(CLIENT_CA, path, pem)? {
            let malformed = |what| TlsRefused::Malformed { flag: CLIENT_CA, path: named(), what };
            ends.push(validity(&authority).map_err(malformed)?.1);
            roots.add(authority).map_err(|error| refused(&error))?;
        }
        let end_time = ends.into_iter().min().ok_or_else(|| no_certificate(CLIENT_CA, path, ""))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
        let verifier = verifier.build().map_err(|error| refused(&error))?;
        Ok(Self { verifier, end_time, print: read::print(&[pem]) })
    }

    /// Whether a handshake with this chain would be admitted.
    pub(super) fn vouch_for(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let now = Duration::from_secs(u64::try_from(now.seconds()).unwrap_or_default());
        chain.split_first().is_some_and(|(own, between)| {
            self.verifier.verify_client_cert(own, between, UnixTime::since_unix_epoch(now)).is_ok()
        })
    }
}
