use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode as Status, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::{Probe, places::Places};
use crate::{domain::subnet::household, meters};

/// For the headers of a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// For all that is done on a connection; whoever wants more comes anew.
const CONNECTION_WITHIN: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 64;
/// Headers and all, 16 KiB.
const MAX_BUFFER: usize = 16 * 1024;
/// After a connection that could not be taken: too many files are open.
const REST: Duration = Duration::from_millis(100);

pub(super) async fn serve(listener: TcpListener, probe: Probe) {
    let mut places = Places::default();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let talk = timeout(CONNECTION_WITHIN, converse(stream, probe.clone()));
                // Whoever is cut off by then, or sends what is no HTTP, is owed nothing.
                places.admit(household(from.ip()), async { drop(talk.await) }).await;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for /metrics could not be taken");
                sleep(REST).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, probe: Probe) -> hyper::Result<()> {
    let answer = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &probe);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

fn answer(method: &Method, path: &str, probe: &Probe) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(method) {
        let mut refused = text(Status::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => {
            let mut answer = text(Status::OK, meters::prometheus(&meters::read()));
            let kind = header::HeaderValue::from_static(meters::CONTENT_TYPE);
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
            answer
        }
        // That this is answered is the answer: the runtime turns.
        "/livez" => text(Status::OK, "alive\n"),
        "/readyz" => match probe.ready() {
            Ok(()) => text(Status::OK, "ready\n"),
            Err(why) => text(Status::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        _ => text(Status::NOT_FOUND, "there are /metrics, /livez and /readyz\n"),
    }
}

fn text(status: Status, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
