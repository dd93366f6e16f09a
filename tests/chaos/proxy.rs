//! A way from one replica to the database that a test may break: it holds what passes in one
//! direction or both, slows it, closes half of a connection, or cuts all and takes no more.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What happens to bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Pass,
    /// They arrive later, each piece by itself.
    Delay(Duration),
    /// They arrive when it passes again: neither side is told anything.
    Hold,
    /// The sender seems to have closed its half.
    Close,
}

/// How the way is. Up is from the replica to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    up: Flow,
    down: Flow,
    /// Where it leads to.
    target: u16,
    /// Whether there is any.
    open: bool,
    /// Connections of an earlier one end.
    generation: u64,
}

/// The port that it listens on, and its controls. It goes on until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    way: watch::Sender<Way>,
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        Self::at(listener, target)
    }

    /// At a place that a test has chosen, in whatever network.
    pub(crate) fn at(listener: TcpListener, target: u16) -> Self {
        let port = listener.local_addr().expect("address").port();
        let way = Way { up: Flow::Pass, down: Flow::Pass, target, open: true, generation: 0 };
        let (sender, receiver) = watch::channel(way);
        tokio::spawn(accept(listener, receiver));
        Self { port, way: sender }
    }

    pub(crate) fn flow(&self, up: Flow, down: Flow) {
        self.way.send_modify(|way| (way.up, way.down) = (up, down));
    }

    /// Both directions stand still, and nobody is told.
    pub(crate) fn hold(&self) {
        self.flow(Flow::Hold, Flow::Hold);
    }

    /// All connections end, and what was on its way is lost; none is taken.
    pub(crate) fn cut(&self) {
        self.way.send_modify(|way| {
            way.open = false;
            way.generation += 1;
        });
    }

    /// All is as before the faults. What was held arrives.
    pub(crate) fn heal(&self) {
        self.way.send_modify(|way| (way.up, way.down, way.open) = (Flow::Pass, Flow::Pass, true));
    }

    /// Leads to another server from now on: connections to the one before end.
    pub(crate) fn lead_to(&self, target: u16) {
        self.way.send_modify(|way| {
            way.target = target;
            way.generation += 1;
        });
    }
}

async fn accept(listener: TcpListener, way: watch::Receiver<Way>) {
    let gone = async |mut way: watch::Receiver<Way>| while way.changed().await.is_ok() {};
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = gone(way.clone()) => return,
        };
        if let Ok((client, _)) = taken
            && way.borrow().open
        {
            tokio::spawn(connection(client, way.clone()));
        }
    }
}

/// Both directions of one, until it is cut or both have ended.
async fn connection(client: TcpStream, mut way: watch::Receiver<Way>) {
    let Way { target, generation, .. } = *way.borrow_and_update();
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    // As between a client and a server that have no proxy between them.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(from_client, to_server, way.clone(), |way| way.up);
    let down = pump(from_server, to_client, way.clone(), |way| way.down);
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        _ = way.wait_for(|way| way.generation != generation) => {}
    }
}

/// Ends when its source does, or when it is closed; the other direction goes on.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    flow: impl Fn(&Way) -> Flow,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let length = tokio::select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            closed = way.wait_for(|way| flow(way) == Flow::Close) => { drop(closed); 0 }
        };
        if length == 0 {
            break;
        }
        let now = flow(&way.borrow_and_update());
        if let Flow::Delay(by) = now {
            tokio::time::sleep(by).await;
        }
        // Also where the hold began while these were being slowed.
        if way.wait_for(|way| flow(way) != Flow::Hold).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    // An end that was held back arrives with what was before it, too.
    let _ = way.wait_for(|way| flow(way) != Flow::Hold).await;
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every byte by the next one.
    async fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_u8(byte + 1).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    async fn ask(stream: &mut TcpStream, byte: u8) -> Option<u8> {
        stream.write_u8(byte).await.ok()?;
        tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await.ok()?.ok()
    }

    #[tokio::test]
    async fn what_is_held_arrives_later_and_what_is_cut_never() {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.expect("connect");
        assert_eq!(ask(&mut stream, 1).await, Some(2));
        for (up, down) in [(Flow::Hold, Flow::Pass), (Flow::Pass, Flow::Hold), (Flow::Hold, Flow::Hold)] {
            proxy.flow(up, down);
            assert_eq!(ask(&mut stream, 3).await, None);
            proxy.heal();
            assert_eq!(stream.read_u8().await.expect("it was held"), 4);
        }
        proxy.flow(Flow::Delay(Duration::from_millis(100)), Flow::Pass);
        let begun = std::time::Instant::now();
        assert_eq!(ask(&mut stream, 5).await, Some(6));
        assert!(begun.elapsed() >= Duration::from_millis(100));
        proxy.cut();
        assert_eq!(ask(&mut stream, 7).await, None);
        let mut refused = TcpStream::connect(("127.0.0.1", proxy.port)).await.expect("it listens");
        assert_eq!(ask(&mut refused, 7).await, None);
        proxy.heal();
        proxy.lead_to(echo().await);
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.expect("connect");
        assert_eq!(ask(&mut stream, 8).await, Some(9));
        proxy.flow(Flow::Close, Flow::Pass);
        assert_eq!(ask(&mut stream, 9).await, None, "the server heard its end and answers by its own");
    }
}
