//! What the operator's machines ask, beside the calls: `/metrics` for Prometheus, `/livez` and
//! `/readyz` for whoever starts and stops processes.
//!
//! Plain HTTP/1.1 on a port of its own, off unless asked for. Nothing here is secret and nothing
//! can be changed here; who may reach it, the network says. It is up as long as the process,
//! also while a server begins anew.

mod http;
mod places;

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::replica::Replica;

/// Why nothing is listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for /metrics: {error}; stop what listens there, or choose another address with --admin-listen"
)]
pub struct AdminRefused {
    address: SocketAddr,
    error: std::io::Error,
}

/// What the process is about, for those who ask. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    address: Option<SocketAddr>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Starting,
    Serves(Replica),
    Drains,
    Ended,
}

impl Probe {
    /// Where it is asked, if anywhere.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Answers from now on whether it is inside its lease.
    pub fn serves(&self, replica: Replica) {
        *self.state() = State::Serves(replica);
    }

    /// It takes no new calls.
    pub fn drains(&self) {
        *self.state() = State::Drains;
    }

    /// It has ended. Another may begin in its place.
    pub fn ended(&self) {
        *self.state() = State::Ended;
    }

    /// Whether calls should be sent here, and why not.
    pub fn ready(&self) -> Result<(), Cow<'static, str>> {
        let why = match &*self.state() {
            State::Starting => "starting: the keys are not loaded yet",
            State::Serves(replica) if replica.is_fresh() => return Ok(()),
            State::Serves(replica) => match replica.hindrance() {
                Some(hindrance) => return Err(format!("the lease has lapsed: {hindrance}").into()),
                None => "the lease has lapsed: no sync with the database succeeds, and the log says why",
            },
            State::Drains => "draining: told to stop",
            State::Ended => "not serving: the server has ended, or begins anew",
        };
        Err(why.into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens, where an address is given, and answers as long as the runtime lives.
pub async fn listen(address: Option<SocketAddr>) -> Result<Probe, AdminRefused> {
    let mut probe = Probe::default();
    if let Some(address) = address {
        let refused = |error| AdminRefused { address, error };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        probe.address = Some(address);
        tokio::spawn(http::serve(listener, probe.clone()));
        if address.ip().to_canonical().is_loopback() {
            tracing::info!(%address, "answering /metrics, /livez and /readyz in plain HTTP");
        } else {
            tracing::warn!(
                %address,
                "answering /metrics, /livez and /readyz in plain HTTP beyond loopback: whoever reaches this address reads how \
                 many keys, accounts and applications there are, how many calls are made and refused and why, the version, \
                 and whether this replica serves; no secret, no name and no address of a caller, and nothing can be changed. \
                 Let the network say who that is"
            );
        }
    }
    Ok(probe)
}
