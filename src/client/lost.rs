//! Why a connection that was made gives no answer.

use std::time::Duration;

use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{CallFailed, IN_TLS, causes};

/// As rustls says that the server ends a connection by TLS's own means.
const ALERT: &str = "received fatal alert: ";
const TRIES: usize = 5;
const LOOK: Duration = Duration::from_secs(1);

/// A status as it is, or why every other call would end the same way.
///
/// In TLS 1.3 a client has done its part of the handshake before it hears that its certificate is missing or not taken:
/// that comes in the place of the first answer. Where it comes before the request is on its way, the request is cancelled
/// and nobody is told why, so it is asked for again by a call that changes nothing.
pub async fn told(channel: &Channel, status: Status) -> CallFailed {
    let why = match fixed(&status) {
        None if is_cancelled(&status) => tokio::time::timeout(LOOK, again(channel)).await.ok().flatten(),
        why => why,
    };
    why.map_or_else(|| CallFailed::Status(status), CallFailed::Ended)
}

async fn again(channel: &Channel) -> Option<String> {
    for _ in 0..TRIES {
        let status = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.err()?;
        match fixed(&status) {
            None if is_cancelled(&status) => {}
            why => return why,
        }
    }
    None
}

/// What does not pass by itself.
fn fixed(status: &Status) -> Option<String> {
    let why = cause(status)?;
    [ALERT, IN_TLS].iter().find_map(|text| why.find(text)).map(|at| why[at..].to_owned())
}

fn is_cancelled(status: &Status) -> bool {
    status.code() == Code::Cancelled && cause(status).is_some()
}

/// What happened on the way, where a status is of this side and no answer of the server.
#[must_use]
pub fn cause(status: &Status) -> Option<String> {
    std::error::Error::source(status).map(causes)
}
