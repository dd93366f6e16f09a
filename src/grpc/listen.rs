//! Connections: where they come in, how many there may be, and who is at their other end.

mod accept;
mod ceilings;
mod connection;
mod shown;

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

pub(super) use accept::accept;
pub use ceilings::Ceilings;
pub(super) use ceilings::{Load, OpenCall, Underway};
pub(super) use connection::{Peer, Use};

use super::tls::{Certificates, Tls, TlsRefused, TlsRemark};
use crate::{clock::Clock, domain::time::Timestamp};

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: Option<Tls>,
    /// Without TLS, and beyond loopback: something else encrypts.
    pub plaintext: bool,
    pub reflection: bool,
    pub ceilings: Ceilings,
}

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenRefused {
    #[error(
        "{0} is not loopback, and secrets would cross the network in plain: give --tls-cert and --tls-key, or say with --plaintext-beyond-loopback that something else encrypts each way here, such as a mesh"
    )]
    Plaintext(SocketAddr),
    #[error(transparent)]
    Tls(#[from] TlsRefused),
    #[error("cannot listen on {address}: {error}; stop what listens there, or choose another address with --listen")]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error("{0}")]
    Service(String),
}

/// A listener that holds its address.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) reflection: bool,
    pub(super) ceilings: Ceilings,
}

/// What is shown to whoever connects.
#[derive(Debug)]
enum Secured {
    Tls(Arc<Certificates>),
    /// Nobody else can read it.
    Loopback,
    /// Somebody said that something else encrypts.
    Plaintext,
}

impl Listen {
    async fn secured(&self, clock: &Clock) -> Result<Secured, ListenRefused> {
        match &self.tls {
            Some(tls) => Ok(Secured::Tls(Arc::new(Certificates::open(tls.clone(), clock.clone()).await?))),
            None if self.address.ip().is_loopback() => Ok(Secured::Loopback),
            None if self.plaintext => Ok(Secured::Plaintext),
            None => Err(ListenRefused::Plaintext(self.address)),
        }
    }

    /// Whether it may be listened on, without doing so, with all that stands against it; and when the
    /// certificate ends that would be shown, if one would, with what is to be said of it.
    pub async fn look(&self, clock: &Clock) -> Result<Option<(Timestamp, Vec<TlsRemark>)>, Vec<ListenRefused>> {
        match (self.secured(clock).await, &self.tls) {
            (Ok(Secured::Tls(certificates)), _) => Ok(Some((certificates.end_time(), certificates.remarks()))),
            (Ok(Secured::Loopback | Secured::Plaintext), _) => Ok(None),
            (Err(ListenRefused::Tls(first)), Some(tls)) => {
                let wrong = Certificates::wrong(tls, clock).await;
                // They may have been put right in between.
                let wrong = if wrong.is_empty() { vec![first] } else { wrong };
                Err(wrong.into_iter().map(ListenRefused::Tls).collect())
            }
            (Err(error), _) => Err(vec![error]),
        }
    }
}

impl Bound {
    /// Takes the address, so that a port in use is found before anything else starts.
    pub async fn bind(listen: &Listen, clock: &Clock) -> Result<Self, ListenRefused> {
        let Listen { address, reflection, ceilings, .. } = listen;
        let certificates = match listen.secured(clock).await? {
            Secured::Tls(certificates) => Some(certificates),
            Secured::Loopback => None,
            Secured::Plaintext => {
                tracing::warn!(
                    %address,
                    "listening without TLS beyond loopback, as --plaintext-beyond-loopback asks for: whoever can read or \
                     change what is on the network there reads secrets and changes verdicts, unless something else encrypts"
                );
                None
            }
        };
        let bind = |error| ListenRefused::Bind { address: *address, error };
        let listener = TcpListener::bind(*address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, address, certificates, reflection: *reflection, ceilings: *ceilings })
    }

    /// The address, with the port that was given for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.certificates.is_some()
    }
}
