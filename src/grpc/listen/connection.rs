use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::{
    ceilings::{Arriving, Ceilings, OpenCall, Place, Ticket, Underway},
    shown::Shown,
};
use crate::domain::certificate::ClientCertificate;

/// The other end of a connection; beside each of its calls.
#[derive(Debug, Clone)]
pub(in crate::grpc) struct Peer {
    pub(in crate::grpc) address: SocketAddr,
    /// What it proved at the handshake.
    pub(in crate::grpc) certificate: Option<Arc<ClientCertificate>>,
    ticket: Arc<Ticket>,
    activity: Arc<Activity>,
}

impl Peer {
    /// A call has come, and uses the connection until its last byte.
    pub(in crate::grpc) fn begin(&self) -> Use {
        self.activity.begun.fetch_add(1, Ordering::Relaxed);
        self.activity.under_way.fetch_add(1, Ordering::Relaxed);
        Use(Arc::clone(&self.activity))
    }

    /// A call proved who makes it, so that the connection is given up for nobody.
    pub(in crate::grpc) fn prove(&self) {
        self.ticket.prove();
    }

    /// A place for a call whose message is here, until it is answered.
    pub(in crate::grpc) fn call(&self) -> Option<Underway> {
        self.ticket.call()
    }

    /// A place for a message that is on its way.
    pub(in crate::grpc) fn arrive(&self) -> Option<Arriving> {
        self.ticket.arrive()
    }

    /// A place for a call that anybody may make, until its last byte.
    pub(in crate::grpc) fn open_call(&self) -> Option<OpenCall> {
        self.ticket.open_call()
    }
}

#[derive(Debug, Default)]
struct Activity {
    begun: AtomicUsize,
    under_way: AtomicUsize,
}

/// A call or a stream keeps its connection from being idle.
#[derive(Debug)]
pub(in crate::grpc) struct Use(Arc<Activity>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that is counted, and ends when nothing is heard of it or called over it for too long, when its
/// client would be let in no more, or when it is a stranger's and another needs its place.
#[derive(Debug)]
pub(in crate::grpc) struct Connection {
    wire: Wire,
    peer: Peer,
    shown: Option<Shown>,
    /// A word was heard, and it was not asked for yet. Pings are answered for ever, and count no more.
    heard: Option<bool>,
    /// How many calls had begun when the timer was set.
    begun: usize,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    /// Given back once the wire is closed.
    place: Place,
}

impl Connection {
    pub(super) fn new(
        wire: Wire,
        address: SocketAddr,
        shown: Option<Shown>,
        place: Place,
        ceilings: &Ceilings,
    ) -> Self {
        let certificate = shown.as_ref().map(|shown| Arc::clone(&shown.certificate));
        let peer = Peer { address, certificate, ticket: Arc::clone(place.ticket()), activity: Arc::default() };
        let timer = Box::pin(tokio::time::sleep(ceilings.handshake));
        Self { wire, peer, shown, heard: Some(false), begun: 0, idle: ceilings.idle, timer, place }
    }

    /// Asked whenever there is nothing to read or no room to write: who reads nothing is given up all the same.
    fn is_given_up(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let what = "all connections are taken, and this one has proven nothing";
        self.place.poll_given_up(context).map(|()| io::Error::new(io::ErrorKind::ConnectionAborted, what))
    }

    fn unless_given_up<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_pending() { self.is_given_up(context).map(Err) } else { done }
    }

    /// Asked when there is nothing to read.
    fn is_over(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if let Poll::Ready(error) = self.is_given_up(context) {
            return Poll::Ready(error);
        }
        if self.shown.as_mut().is_some_and(|shown| shown.poll_refused(context).is_ready()) {
            let what = "no authority vouches for the client's certificate any more";
            return Poll::Ready(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            let activity = &self.peer.activity;
            let begun = activity.begun.load(Ordering::Relaxed);
            let is_used = begun != self.begun || activity.under_way.load(Ordering::Relaxed) > 0;
            // The first time it is only asked whether there was a word.
            let is_there = self.heard.take().unwrap_or_default();
            if !is_used && !is_there {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "nothing was called for too long"));
            }
            self.begun = begun;
            self.timer.as_mut().reset(Instant::now() + self.idle);
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if read.is_pending() {
            return self.is_over(context).map(Err);
        }
        if let Some(heard) = &mut self.heard {
            *heard = true;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        self.unless_given_up(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        self.unless_given_up(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        self.unless_given_up(context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        };
        self.unless_given_up(context, done)
    }
}
