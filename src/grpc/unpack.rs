//! What the gate put beside a request.

use prost::Message;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tonic::{Request, Status};
use uuid::Uuid;

use super::{
    errors,
    gate::{self, Deadline},
    status::status,
};
use crate::{
    auth::Caller,
    domain::{
        act::Act,
        refusal::{Refusal, Violations},
    },
    pb,
    replica::{Patience, Wait},
    store::CreateRequest,
    telemetry::RequestId,
};

/// The proven caller. Without the gate in front there is none, and no method answers.
pub(super) fn caller<T>(request: &Request<T>) -> Result<&Caller, Refusal> {
    request.extensions().get().ok_or(Refusal::SignatureMissing { token: true })
}

/// What a mutation may write with.
pub(super) fn act<T>(request: &Request<T>) -> Result<Act, Refusal> {
    request.extensions().get().cloned().ok_or(Refusal::SignatureMissing { token: false })
}

pub(super) fn request_id<T>(request: &Request<T>) -> Option<RequestId> {
    request.extensions().get().cloned()
}

/// How long a mutation may wait, and for whom.
pub(super) fn patience<T>(request: &Request<T>, wait: i32) -> Result<Patience, Refusal> {
    let wait = match pb::RevokeWait::try_from(wait) {
        Ok(pb::RevokeWait::Unspecified | pb::RevokeWait::Everywhere) => Wait::Everywhere,
        Ok(pb::RevokeWait::Replicas) => Wait::Replicas,
        Ok(pb::RevokeWait::None) => Wait::None,
        Err(_) => return Err(Refusal::FieldInvalid(Violations::one("wait", "is not a value of RevokeWait"))),
    };
    let Deadline(until) = *request.extensions().get().ok_or(Refusal::Internal)?;
    Ok(Patience { wait, until })
}

/// When the answer to a call that may wait, and mostly does not, must be on its way.
pub(super) fn deadline<T>(request: &Request<T>) -> Instant {
    gate::deadline(request.metadata().as_ref())
}

/// Two parts of a request, or all that is wrong with either: fields are told at once.
pub(super) fn both<A, B>(a: Result<A, Refusal>, b: Result<B, Refusal>) -> Result<(A, B), Refusal> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(Refusal::FieldInvalid(mut all)), Err(Refusal::FieldInvalid(more))) => {
            all.append(more);
            Err(Refusal::FieldInvalid(all))
        }
        (_, Err(refusal @ Refusal::FieldInvalid(_))) | (Err(refusal), _) | (Ok(_), Err(refusal)) => Err(refusal),
    }
}

/// A create that may be repeated: its id, and a print of all that it asks for.
pub(super) fn create_request(
    request_id: &str,
    method: &str,
    message: &impl Message,
    violations: &mut Violations,
) -> Option<CreateRequest> {
    if request_id.is_empty() {
        return None;
    }
    let id = Uuid::try_parse(request_id).ok().filter(|id| request_id.len() == 36 && !id.is_nil());
    let Some(id) = id else {
        violations.add("request_id", "is not a UUID such as 5f0c6e0e-3c1b-4c53-9d6b-3c0a7d0f6a11");
        return None;
    };
    let mut print = Sha256::new();
    print.update(method);
    print.update([0]);
    print.update(message.encode_to_vec());
    Some(CreateRequest { id, fingerprint: print.finalize().into() })
}

/// A status for the end of a stream, which the layers do not see.
pub(super) fn last_status(refusal: &Refusal, request_id: Option<&RequestId>) -> Status {
    let status = status(refusal);
    match request_id {
        Some(request_id) => errors::complete(status, request_id),
        None => status,
    }
}
