//! Files to certificates, or to words that say which of them is wrong.

use std::{path::Path, sync::Arc};

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::TlsRefused;

/// Of what files hold: another one for other contents, by whatever way they got there.
pub(super) type Print = [u8; 32];

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(super) fn print(files: &[&[u8]]) -> Print {
    let mut print = Sha256::new();
    for file in files {
        print.update(file.len().to_be_bytes());
        print.update(file);
    }
    print.finalize().into()
}

pub(super) async fn file(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsRefused> {
    let unreadable = |error: std::io::Error| TlsRefused::Unreadable {
        flag,
        path: path.display().to_string(),
        error: error.to_string(),
    };
    tokio::fs::read(path).await.map_err(unreadable)
}

pub(super) fn no_certificate(flag: &'static str, path: &Path, hint: &'static str) -> TlsRefused {
    TlsRefused::NoCertificate { flag, path: path.display().to_string(), hint }
}

pub(super) fn certificates(
    flag: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsRefused> {
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
