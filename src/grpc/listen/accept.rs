use std::{
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{
    ceilings::{Ceilings, Full, Load, Place},
    connection::{Connection, Wire},
    shown::Shown,
};
use crate::{
    grpc::tls::Certificates,
    meters::{self, TooMany},
    telemetry::Budget,
};

/// Connections that are ready and not yet taken up.
const READY: usize = 64;
/// Strangers decide how often there is something to say of each sort.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// After an error of the listener, such as too many open files.
const BREATH: Duration = Duration::from_millis(50);

/// Takes connections in until nobody takes them up any more. Each makes its handshake by itself, so
/// that a slow one holds up no other.
pub(in crate::grpc) fn accept(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    load: Arc<Load>,
    ceilings: Ceilings,
) -> mpsc::Receiver<Connection> {
    let (ready, taken) = mpsc::channel(READY);
    tokio::spawn(async move {
        let (crowd, failed) = (Crowd::default(), Arc::new(Budget::of(1, TOLD_EVERY)));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(left_out) = failed.take() {
                        tracing::error!(%error, left_out, "a connection could not be taken in");
                    }
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            match load.connect(address.ip()) {
                Ok((place, leaver)) => {
                    if let Some(leaver) = leaver {
                        crowd.gives_up(leaver.household);
                        // It is closed before another is taken up: there are never more.
                        tokio::select! {
                            () = leaver.gone() => {}
                            () = ready.closed() => return,
                        }
                    }
                    let arrival = Arrival { stream, address, place, ceilings };
                    let (certificates, ready, failed) = (certificates.clone(), ready.clone(), Arc::clone(&failed));
                    tokio::spawn(arrival.through(certificates, ready, failed));
                }
                Err(full) => {
                    drop(stream);
                    crowd.is_refused(full, address);
                }
            }
        }
    });
    taken
}

/// Counts and tells what becomes of those that are too many.
#[derive(Debug)]
struct Crowd {
    refused: Budget,
    given_up: Budget,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { refused: Budget::of(1, TOLD_EVERY), given_up: Budget::of(1, TOLD_EVERY) }
    }
}

impl Crowd {
    fn is_refused(&self, full: Full, address: SocketAddr) {
        let (why, flag) = match full {
            Full::All => (TooMany::All, "--max-connections"),
            Full::Address => (TooMany::Address, "--max-connections-per-address"),
        };
        meters::CONNECTIONS_REFUSED.count(why as usize);
        if let Some(left_out) = self.refused.take() {
            tracing::warn!(%address, flag, left_out, "too many connections: closed at once; left_out says how many more were since the last such line");
        }
    }

    fn gives_up(&self, household: IpAddr) {
        meters::CONNECTIONS_REFUSED.count(TooMany::GivenUp as usize);
        if let Some(left_out) = self.given_up.take() {
            let flag = "--max-connections";
            tracing::warn!(address = %household, flag, left_out, "all connections are taken: the oldest that has proven nothing was closed, of the address with the most of them; left_out says how many more were since the last such line");
        }
    }
}

struct Arrival {
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    ceilings: Ceilings,
}

impl Arrival {
    async fn through(
        self,
        certificates: Option<Arc<Certificates>>,
        ready: mpsc::Sender<Connection>,
        failed: Arc<Budget>,
    ) {
        let Self { stream, address, mut place, ceilings } = self;
        // Without TCP_NODELAY an answer waits 40 ms for an acknowledgement.
        if stream.set_nodelay(true).is_err() {
            return; // it has gone already
        }
        let made = async {
            match certificates {
                None => Ok((Wire::Plain(stream), None)),
                Some(certificates) => handshake(stream, &certificates, ceilings.handshake).await,
            }
        };
        let given_up = poll_fn(|context| place.poll_given_up(context));
        let (wire, shown) = tokio::select! {
            made = made => match made {
                Ok(made) => made,
                Err(error) => {
                    if let Some(left_out) = failed.take() {
                        tracing::warn!(%address, %error, left_out, "a TLS handshake failed; left_out says how many more did since the last such line");
                    }
                    return;
                }
            },
            () = given_up => return,
        };
        // None is taken up any more while the server ends.
        let taken_up = tokio::select! {
            taken_up = ready.reserve() => taken_up,
            () = poll_fn(|context| place.poll_given_up(context)) => return,
        };
        if let Ok(taken_up) = taken_up {
            taken_up.send(Connection::new(wire, address, shown, place, &ceilings));
        }
    }
}

async fn handshake(
    stream: TcpStream,
    certificates: &Certificates,
    within: Duration,
) -> Result<(Wire, Option<Shown>), String> {
    let handshake = certificates.handshake();
    let accepted = timeout(within, handshake.acceptor().accept(stream)).await;
    let stream = accepted.map_err(|_| format!("it took longer than {within:?}"))?.map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates();
    let shown = chain.map(|chain| Shown::new(chain, handshake)).transpose()?;
    Ok((Wire::Tls(Box::new(stream)), shown))
}
