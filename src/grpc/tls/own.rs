use std::{path::Path, sync::Arc};

use tokio_rustls::rustls::{
    self,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use zeroize::Zeroizing;

use super::{
    Tls, TlsRefused, TlsRemark,
    certificate::About,
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
    pub(super) remark: Option<TlsRemark>,
    print: Print,
}

impl Own {
    pub(super) async fn open(tls: &Tls, now: Timestamp) -> Result<Self, TlsRefused> {
        Files::read(tls).await?.load(tls, now)
    }

    /// All that is wrong with its files, where [`Own::open`] tells the first of it.
    pub(super) async fn wrong(tls: &Tls, now: Timestamp) -> Vec<TlsRefused> {
        let certificate = read::file(CERTIFICATE, &tls.certificate).await;
        let key = read::file(KEY, &tls.key).await.map(Zeroizing::new);
        let certificate = certificate.and_then(|pem| chain(&tls.certificate, &pem, now).map(drop));
        let key = key.and_then(|pem| private_key(&tls.key, &pem).map(drop));
        let each: Vec<_> = [certificate.err(), key.err()].into_iter().flatten().collect();
        // Where each by itself is good they may not belong together.
        if each.is_empty() { Self::open(tls, now).await.err().into_iter().collect() } else { each }
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
        let (chain, About { end_time, is_authority, .. }) = chain(&tls.certificate, &self.certificate, now)?;
        let key = private_key(&tls.key, &self.key)?;
        let pair = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsRefused::Unfit {
                certificate: tls.certificate.display().to_string(),
                key: tls.key.display().to_string(),
            },
            other => TlsRefused::Unusable(other.to_string()),
        })?;
        let remark = is_authority.then(|| TlsRemark::OwnIsAuthority { path: tls.certificate.display().to_string() });
        Ok(Own { resolver: Arc::new(pair.into()), end_time, remark, print: self.print() })
    }
}

/// A chain whose first is good now, and what that one says.
fn chain(path: &Path, pem: &[u8], now: Timestamp) -> Result<(Vec<CertificateDer<'static>>, About), TlsRefused> {
    let name = || path.display().to_string();
    let chain = certificates(CERTIFICATE, path, pem)?;
    let malformed = |what| TlsRefused::Malformed { flag: CERTIFICATE, path: name(), what };
    let first = chain.first().ok_or_else(|| no_certificate(CERTIFICATE, path, ""))?;
    let about = About::read(first).map_err(malformed)?;
    let About { begin_time, end_time, .. } = about;
    if now < begin_time {
        Err(TlsRefused::NotYet { path: name(), begin_time })
    } else if end_time <= now {
        Err(TlsRefused::Ended { path: name(), end_time })
    } else if !about.has_name {
        Err(TlsRefused::Nameless { path: name() })
    } else {
        Ok((chain, about))
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
