//! Hears what the other end said last. Where a server ends a connection it says why, and what is written meanwhile fails:
//! who stops at that (as HTTP/2 does) has a broken pipe to tell, and the alert of TLS is not read any more.

use std::{
    error::Error,
    io::{
        self,
        ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData},
    },
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::{
    codegen::{BoxFuture, Service},
    transport::Uri,
};

/// What is read over plaintext of a server with TLS, in the place of an answer.
pub(in crate::client) const IN_TLS: &str = "it answers in TLS";

/// As tonic connects, and heard.
pub(super) struct Connector {
    http: HttpConnector,
    plaintext: bool,
}

impl Connector {
    pub(super) fn new(plaintext: bool) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        Self { http, plaintext }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Heard>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, first) = (self.http.call(uri), self.plaintext);
        Box::pin(async move { Ok(TokioIo::new(Heard { stream: connecting.await?.into_inner(), first })) })
    }
}

pub(super) struct Heard {
    stream: TcpStream,
    /// Nothing was read yet over plaintext.
    first: bool,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buf))?;
        // A record of an alert or of a handshake. As a frame of HTTP/2 it would be larger than any.
        match buf.filled().get(before..) {
            Some([0x15 | 0x16, 3, ..]) if self.first => Poll::Ready(Err(io::Error::new(InvalidData, IN_TLS))),
            _ => {
                self.first = false;
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// A write that fails since the other end is gone is no news: reading tells it, after what was said before.
fn quiet<T>(written: Poll<io::Result<T>>, instead: T) -> Poll<io::Result<T>> {
    match written {
        Poll::Ready(Err(error)) if matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) => {
            Poll::Ready(Ok(instead))
        }
        written => written,
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        quiet(Pin::new(&mut self.stream).poll_write(context, buf), buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        quiet(Pin::new(&mut self.stream).poll_flush(context), ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        quiet(Pin::new(&mut self.stream).poll_shutdown(context), ())
    }
}
