//! The way to the database of one replica, which can be cut.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Nothing gets through, and nobody is told: as behind a firewall that drops.
    Silent,
    /// Connections end, and new ones are refused.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("address").port();
        let (way, seen) = watch::channel(Way::Open);
        let accepting = tokio::spawn(async move {
            // Ends with the proxy.
            while let Ok((near, _)) = listener.accept().await {
                let way = seen.clone();
                if *way.borrow() != Way::Closed {
                    tokio::spawn(async move { drop(carry(near, ([127, 0, 0, 1], to).into(), way).await) });
                }
            }
        });
        Self { port, way, accepting }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.way.send_replace(Way::Closed);
    }
}

/// Until one side ends, or the way is closed.
async fn carry(near: TcpStream, to: SocketAddr, way: watch::Receiver<Way>) -> io::Result<()> {
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut closed = way.clone();
    tokio::select! {
        end = one_way(near_read, far_write, way.clone()) => end,
        end = one_way(far_read, near_write, way) => end,
        _ = closed.wait_for(|way| *way == Way::Closed) => Ok(()),
    }
}

async fn one_way(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        // What is under way when it is cut arrives when it is open again, as with TCP.
        if way.wait_for(|way| *way != Way::Silent).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
