use std::{path::Path, sync::Arc, time::Duration};

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{
    TlsRefused, TlsRemark,
    certificate::About,
    read::{self, Print, certificates, no_certificate, provider},
};
use crate::{
    domain::time::Timestamp,
    guard::{self, Guard},
};

const CLIENT_CA: &str = "--tls-client-ca";

/// Who may sign certificates of clients.
pub(super) struct Authorities {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    each: Vec<About>,
    print: Print,
}

impl Authorities {
    pub(super) async fn open(path: &Path, required: bool) -> Result<Self, TlsRefused> {
        Self::load(path, &read::file(CLIENT_CA, path).await?, required)
    }

    /// What the file holds now, if it is something else and stays so: a file that is being written lacks an authority for
    /// a moment, and the connections of its clients would end. `last` is what was read at the look before; with `at_once`
    /// somebody says that it is written.
    pub(super) async fn renewed(
        &self,
        path: &Path,
        required: bool,
        last: &mut Option<Print>,
        at_once: bool,
    ) -> Result<Option<Self>, TlsRefused> {
        let pem = read::file(CLIENT_CA, path).await?;
        let print = read::print(&[&pem]);
        let stays = last.replace(print) == Some(print);
        if print == self.print {
            return Ok(None);
        }
        let new = Self::load(path, &pem, required)?;
        Ok((stays || at_once || !guard::on(Guard::Settled)).then_some(new))
    }

    fn load(path: &Path, pem: &[u8], required: bool) -> Result<Self, TlsRefused> {
        let named = || path.display().to_string();
        let refused = |error: &dyn std::fmt::Display| TlsRefused::ClientCa { path: named(), what: error.to_string() };
        let mut roots = RootCertStore::empty();
        let mut each = Vec::new();
        for authority in certificates(CLIENT_CA, path, pem)? {
            let malformed = |what| TlsRefused::Malformed { flag: CLIENT_CA, path: named(), what };
            let about = About::read(&authority).map_err(malformed)?;
            // rustls takes any certificate as an anchor, without a look at what it is for, and believes what is signed by its key.
            if !about.is_authority && !about.is_first_version {
                return Err(TlsRefused::NoAuthority { path: named(), subject: about.subject });
            }
            each.push(about);
            roots.add(authority).map_err(|error| refused(&error))?;
        }
        if each.is_empty() {
            return Err(no_certificate(CLIENT_CA, path, ""));
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
        let verifier = verifier.build().map_err(|error| refused(&error))?;
        Ok(Self { verifier, each, print: read::print(&[pem]) })
    }

    /// Of the next of them to end; once all have ended, of the last: one that has ended hides no other.
    pub(super) fn end_time(&self, now: Timestamp) -> Timestamp {
        let ends = || self.each.iter().map(|about| about.end_time);
        ends().filter(|end| now < *end).min().or_else(|| ends().max()).unwrap_or(now)
    }

    /// Of those that have ended.
    pub(super) fn remarks(&self, path: &Path, now: Timestamp) -> impl Iterator<Item = TlsRemark> {
        self.each.iter().filter(move |about| about.end_time <= now).map(|about| TlsRemark::AuthorityEnded {
            path: path.display().to_string(),
            subject: about.subject.clone(),
            end_time: about.end_time,
        })
    }

    /// Whether a handshake with this chain would be admitted.
    pub(super) fn vouch_for(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let now = Duration::from_secs(u64::try_from(now.seconds()).unwrap_or_default());
        chain.split_first().is_some_and(|(own, between)| {
            self.verifier.verify_client_cert(own, between, UnixTime::since_unix_epoch(now)).is_ok()
        })
    }
}
