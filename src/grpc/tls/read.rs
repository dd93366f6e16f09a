//! Files to a configuration, or to words that say which of them is wrong.

use std::{path::Path, sync::Arc};

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use zeroize::Zeroizing;

use super::{Tls, TlsRefused, certificate::validity};
use crate::domain::time::Timestamp;

const CERTIFICATE: &str = "--tls-cert";
const KEY: &str = "--tls-key";
const CLIENT_CA: &str = "--tls-client-ca";

/// What the files hold.
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

/// What they are good for.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) print: [u8; 32],
    pub(super) end_time: Timestamp,
}

impl Files {
    pub(super) async fn read(tls: &Tls) -> Result<Self, TlsRefused> {
        let client_ca = match &tls.client_ca {
            Some(path) => Some(read(CLIENT_CA, path).await?),
            None => None,
        };
        Ok(Self {
            certificate: read(CERTIFICATE, &tls.certificate).await?,
            key: Zeroizing::new(read(KEY, &tls.key).await?),
            client_ca,
        })
    }

    /// Another one for other contents, by whatever way they got there.
    pub(super) fn print(&self) -> [u8; 32] {
        let mut print = Sha256::new();
        for file in [self.certificate.as_slice(), &self.key, self.client_ca.as_deref().unwrap_or_default()] {
            print.update(file.len().to_be_bytes());
            print.update(file);
        }
        print.finalize().into()
    }

    /// All that is wrong, where [`Files::load`] tells the first of it.
    pub(super) async fn wrong(tls: &Tls, now: Timestamp) -> Vec<TlsRefused> {
        let mut wrong = Vec::new();
        let chain = read(CERTIFICATE, &tls.certificate).await;
        let chain = chain.and_then(|pem| certificates(CERTIFICATE, &tls.certificate, &pem));
        wrong.extend(chain.and_then(|chain| end_of(&tls.certificate, &chain, now)).err());
        let key = read(KEY, &tls.key).await.map(Zeroizing::new);
        wrong.extend(key.and_then(|pem| private_key(&tls.key, &pem)).err());
        if let Some(path) = &tls.client_ca {
            wrong.extend(read(CLIENT_CA, path).await.and_then(|pem| roots(path, &pem)).err());
        }
        if wrong.is_empty() {
            // Each by itself is good.
            let together = Self::read(tls).await.and_then(|files| files.load(tls, now));
            wrong.extend(together.err());
        }
        wrong
    }

    pub(super) fn load(&self, tls: &Tls, now: Timestamp) -> Result<Loaded, TlsRefused> {
        let chain = certificates(CERTIFICATE, &tls.certificate, &self.certificate)?;
        let end_time = end_of(&tls.certificate, &chain, now)?;
        let config = self.config(tls, chain)?;
        Ok(Loaded { config: Arc::new(config), print: self.print(), end_time })
    }

    fn config(&self, tls: &Tls, chain: Vec<CertificateDer<'static>>) -> Result<ServerConfig, TlsRefused> {
        let unusable = |error: rustls::Error| TlsRefused::Unusable(error.to_string());
        let key = private_key(&tls.key, &self.key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match tls.client_ca.as_deref().zip(self.client_ca.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((path, pem)) => {
                let roots = roots(path, pem)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if tls.client_required { verifier } else { verifier.allow_unauthenticated() };
                let what = |error: rustls::server::VerifierBuilderError| TlsRefused::ClientCa {
                    path: path.display().to_string(),
                    what: error.to_string(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(what)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsRefused::Unfit {
                certificate: tls.certificate.display().to_string(),
                key: tls.key.display().to_string(),
            },
            other => unusable(other),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        if tls.client_ca.is_some() {
            // A resumed session would take over a certificate without looking at it again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

async fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsRefused> {
    let unreadable = |error: std::io::Error| TlsRefused::Unreadable {
        flag,
        path: path.display().to_string(),
        error: error.to_string(),
    };
    tokio::fs::read(path).await.map_err(unreadable)
}

fn no_certificate(flag: &'static str, path: &Path, hint: &'static str) -> TlsRefused {
    TlsRefused::NoCertificate { flag, path: path.display().to_string(), hint }
}

fn certificates(flag: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsRefused> {
    let malformed = |what: String| TlsRefused::Malformed { flag, path: path.display().to_string(), what };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.map_err(|error| malformed(error.to_string()))?;
    if !found.is_empty() {
        return Ok(found);
    }
    let hint = match PrivateKeyDer::from_pem_slice(pem) {
        Ok(_) => ", but a private key: are --tls-cert and --tls-key swapped?",
        Err(_) if pem.is_empty() => ": it is empty",
        Err(_) => "",
    };
    Err(no_certificate(flag, path, hint))
}

/// When the server's own ends, which is good now.
fn end_of(path: &Path, chain: &[CertificateDer<'static>], now: Timestamp) -> Result<Timestamp, TlsRefused> {
    let name = || path.display().to_string();
    let malformed = |what| TlsRefused::Malformed { flag: CERTIFICATE, path: name(), what };
    let own = chain.first().ok_or_else(|| no_certificate(CERTIFICATE, path, ""))?;
    let (begin_time, end_time) = validity(own).map_err(malformed)?;
    if now < begin_time {
        Err(TlsRefused::NotYet { path: name(), begin_time })
    } else if end_time <= now {
        Err(TlsRefused::Ended { path: name(), end_time })
    } else {
        Ok(end_time)
    }
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsRefused> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let has = |what: &str| pem.windows(what.len()).any(|window| window == what.as_bytes());
        let hint = match error {
            _ if has("BEGIN ENCRYPTED PRIVATE KEY") => {
                ": it is encrypted, and `openssl pkey -in FILE -out FILE` decrypts it"
            }
            pem::Error::NoItemsFound if has("BEGIN CERTIFICATE") => {
                ", but a certificate: are --tls-cert and --tls-key swapped?"
            }
            pem::Error::NoItemsFound if pem.is_empty() => ": it is empty",
            _ => "",
        };
        TlsRefused::NoKey { path: path.display().to_string(), hint }
    })
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsRefused> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(CLIENT_CA, path, pem)? {
        let refused =
            |error: rustls::Error| TlsRefused::ClientCa { path: path.display().to_string(), what: error.to_string() };
        roots.add(authority).map_err(refused)?;
    }
    Ok(roots)
}
