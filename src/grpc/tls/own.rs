use std::{path::Path, sync::Arc};

use tokio_rustls::rustls::{
    self,
    pki_types::{
        PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use zeroize::Zeroizing;

use super::{
    Tls, TlsRefused,
    certificate::validity,
    read::{self, Print, certificates, no_certificate, provider},
};
use crate::domain::time::Timestamp;

const CERTIFICATE: &str = "--tls-cert";
const KEY: &str = "--tls-key";

/// What its files hold.
struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// The server's own certificate and key, which are of use only together.
pub(super) struct Own {
    pub(super) resolver: Arc<SingleCertAndKey>,
    pub(super) end_time: Timestamp,
    print: Print,
}

impl Own {
    pub(super) async fn open(tls: &Tls, now: Timestamp) -> Result<Self, TlsRefused> {
        Files::read(tls).await?.load(tls, now)
    }

    /// What the files hold now, if it is something else.
    pub(super) async fn renewed(&self, tls: &Tls, now: Timestamp) -> Result<Option<Self>, TlsRefused> {
        let files = Files::read(tls).await?;
        if files.print() == self.print { Ok(None) } else { files.load(tls, now).map(Some) }
    }
}

impl Files {
    async fn read(tls: &Tls) -> Result<Self, TlsRefused> {
        Ok(Self {
            certificate: read::file(CERTIFICATE, &tls.certificate).await?,
            key: Zeroizing::new(read::file(KEY, &tls.key).await?),
        })
    }

    fn print(&self) -> Print {
        read::print(&[&self.certificate, &self.key])
    }

    fn load(&self, tls: &Tls, now: Timestamp) -> Result<Own, TlsRefused> {
        let path = || tls.certificate.display().to_string();
        let chain = certificates(CERTIFICATE, &tls.certificate, &self.certificate)?;
        let malformed = |what| TlsRefused::Malformed { flag: CERTIFICATE, path: path(), what };
        let first = chain.first().ok_or_else(|| no_certificate(CERTIFICATE, &tls.certificate, ""))?;
        let (begin_time, end_time) = validity(first).map_err(malformed)?;
        if now < begin_time {
            return Err(TlsRefused::NotYet { path: path(), begin_time });
        }
        if end_time <= now {
            return Err(TlsRefused::Ended { path: path(), end_time });
        }
        let key = private_key(&tls.key, &self.key)?;
        let pair = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsRefused::Unfit { certificate: path(), key: tls.key.display().to_string() }
            }
            other => TlsRefused::Unusable(other.to_string()),
        })?;
        Ok(Own { resolver: Arc::new(pair.into()), end_time, print: self.print() })
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
