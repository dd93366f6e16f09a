use std::{fmt, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_rustls::rustls::ServerConfig;

use super::{
    Tls, TlsRefused, TlsRemark,
    authorities::Authorities,
    in_use::{Handshake, InUse, Versions},
    own::Own,
    read::{Print, provider},
    said::Said,
};
use crate::{
    clock::Clock,
    domain::time::Timestamp,
    meters::{self, Certificate},
};

/// What is shown to whoever connects next, and who is let in. Read anew when the files change, the server's
/// pair and the authorities each by itself, and kept as it is where what they hold is not usable: a server
/// that goes on with a good certificate is worth more than one that stops for a bad one.
pub(in crate::grpc) struct Certificates {
    tls: Tls,
    clock: Clock,
    versions: Versions,
    in_use: watch::Sender<InUse>,
}

/// What is known from one look to the next.
#[derive(Default)]
struct Looks {
    own: Said,
    authorities: Said,
    /// What the file of authorities held at the last one.
    last: Option<Print>,
    remarks: Vec<TlsRemark>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads them for the first time: what is wrong then is refused.
    pub(in crate::grpc) async fn open(tls: Tls, clock: Clock) -> Result<Self, TlsRefused> {
        let own = Own::open(&tls, clock.now()).await?;
        let authorities = match &tls.client_ca {
            Some(path) => Some(Authorities::open(path, tls.client_required).await?),
            None => None,
        };
        let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| TlsRefused::Unusable(error.to_string()))?;
        let in_use = InUse::new(versions.clone(), Arc::new(own), authorities.map(Arc::new));
        Ok(Self { tls, clock, versions, in_use: watch::Sender::new(in_use) })
    }

    /// All that is wrong with the files, where [`Certificates::open`] tells the first of it.
    pub(in crate::grpc) async fn wrong(tls: &Tls, clock: &Clock) -> Vec<TlsRefused> {
        let mut wrong = Own::wrong(tls, clock.now()).await;
        if let Some(path) = &tls.client_ca {
            wrong.extend(Authorities::open(path, tls.client_required).await.err());
        }
        wrong
    }

    pub(in crate::grpc) fn handshake(&self) -> Handshake {
        Handshake::new(self.in_use.subscribe(), self.clock.clone())
    }

    /// Of the server's own certificate.
    pub(in crate::grpc) fn end_time(&self) -> Timestamp {
        self.in_use.borrow().own.end_time
    }

    /// Of what is in use.
    pub(in crate::grpc) fn remarks(&self) -> Vec<TlsRemark> {
        let (InUse { own, authorities, .. }, now) = (self.in_use.borrow().clone(), self.clock.now());
        let mut remarks: Vec<_> = own.remark.iter().cloned().collect();
        if let Some((path, authorities)) = self.tls.client_ca.as_deref().zip(authorities) {
            remarks.extend(authorities.remarks(path, now));
        }
        remarks
    }

    /// Looks every few seconds, and at once on SIGHUP, until it is dropped.
    pub(in crate::grpc) async fn follow(self: Arc<Self>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be waited for; changed certificates are found all the same");
                None
            }
        };
        let mut looks = Looks::default();
        loop {
            self.tell(&mut looks);
            let rung = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                () = tokio::time::sleep(self.tls.look_every) => false,
                () = rung => true,
            };
            self.look(asked, &mut looks).await;
        }
    }

    async fn look(&self, asked: bool, looks: &mut Looks) {
        let Looks { own: of_own, authorities: of_authorities, last, .. } = looks;
        let before = self.in_use.borrow().clone();
        let own = of_own.of(before.own.renewed(&self.tls, self.clock.now()).await, asked);
        let authorities = match self.tls.client_ca.as_deref().zip(before.authorities.as_deref()) {
            Some((path, known)) => {
                let renewed = known.renewed(path, self.tls.client_required, last, asked).await;
                of_authorities.of(renewed, asked)
            }
            None => None,
        };
        if let Some(Own { end_time, .. }) = &own {
            tracing::info!(%end_time, "new TLS certificates are in use for new connections");
        }
        if let Some(authorities) = &authorities {
            let end_time = authorities.end_time(self.clock.now());
            tracing::info!(%end_time, "other authorities of client certificates are in use, and connections whose certificates they do not vouch for end");
        }
        if own.is_some() || authorities.is_some() {
            let (own, authorities) =
                (own.map_or(before.own, Arc::new), authorities.map(Arc::new).or(before.authorities));
            self.in_use.send_replace(InUse::new(self.versions.clone(), own, authorities));
        } else if asked && of_own.is_well() && of_authorities.is_well() {
            tracing::info!("the TLS files were read again, and hold what they held");
        }
    }

    /// In the log what is new, and in the metrics what is so.
    fn tell(&self, looks: &mut Looks) {
        let (InUse { own, authorities, .. }, now) = (self.in_use.borrow().clone(), self.clock.now());
        measure(Certificate::Server, own.end_time, &looks.own);
        looks.own.end("the TLS certificate in use", &self.tls.certificate, own.end_time, now);
        if let Some((path, authorities)) = self.tls.client_ca.as_deref().zip(authorities) {
            let end_time = authorities.end_time(now);
            measure(Certificate::ClientAuthority, end_time, &looks.authorities);
            looks.authorities.end("an authority of client certificates", path, end_time, now);
        }
        let remarks = self.remarks();
        for remark in remarks.iter().filter(|remark| !looks.remarks.contains(remark)) {
            tracing::warn!("{remark}; {}", remark.advice());
        }
        looks.remarks = remarks;
    }
}

fn measure(whose: Certificate, end_time: Timestamp, said: &Said) {
    meters::CERTIFICATE_ENDS.set_time(whose as usize, end_time.seconds());
    meters::CERTIFICATE_REFUSED.set(whose as usize, if said.is_well() { 0.0 } else { 1.0 });
}
