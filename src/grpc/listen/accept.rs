use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{
    ceilings::{Ceilings, Full, Load, Ticket},
    connection::{Connection, Wire},
    shown::Shown,
};
use crate::{grpc::tls::Certificates, meters, telemetry::Budget};

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
        let (refused, failed) = (Budget::of(1, TOLD_EVERY), Arc::new(Budget::of(1, TOLD_EVERY)));
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
                Ok(ticket) => {
                    let arrival = Arrival { stream, address, ticket, ceilings };
                    let (certificates, ready, failed) = (certificates.clone(), ready.clone(), Arc::clone(&failed));
                    tokio::spawn(arrival.through(certificates, ready, failed));
                }
                Err(full) => {
                    drop(stream);
                    meters::CONNECTIONS_REFUSED.count(0);
                    if let Some(left_out) = refused.take() {
                        tell(full, address, left_out);
                    }
                }
            }
        }
    });
    taken
}

fn tell(full: Full, address: SocketAddr, left_out: u64) {
    let flag = match full {
        Full::All => "--max-connections",
        Full::Address => "--max-connections-per-address",
    };
    tracing::warn!(%address, flag, left_out, "too many connections: closed at once, as were `left_out` others since the last such line");
}

struct Arrival {
    stream: TcpStream,
    address: SocketAddr,
    ticket: Ticket,
    ceilings: Ceilings,
}

impl Arrival {
    async fn through(
        self,
        certificates: Option<Arc<Certificates>>,
        ready: mpsc::Sender<Connection>,
        failed: Arc<Budget>,
    ) {
        let Self { stream, address, ticket, ceilings } = self;
        // Without TCP_NODELAY an answer waits 40 ms for an acknowledgement.
        if stream.set_nodelay(true).is_err() {
            return; // it has gone already
        }
        let (wire, shown) = match certificates {
            None => (Wire::Plain(stream), None),
            Some(certificates) => match handshake(stream, &certificates, ceilings.handshake).await {
                Ok((wire, shown)) => (wire, shown),
                Err(error) => {
                    if let Some(left_out) = failed.take() {
                        tracing::warn!(%address, %error, left_out, "a TLS handshake failed; so did `left_out` others since the last such line");
                    }
                    return;
                }
            },
        };
        let connection = Connection::new(wire, address, shown, ticket, &ceilings);
        let _ = ready.send(connection).await; // none is taken up any more while the server ends
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
