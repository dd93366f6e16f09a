//! What a call must show before anything behind the gate runs, and in which order it is looked at.

use http::{Method as HttpMethod, Request};
use tonic::body::Body;

use super::{
    convert::subject::subject,
    errors::body_invalid,
    frame::{self, Frame, MAX_MESSAGE, MAX_OPEN},
    gate::{Deadline, deadline},
    listen::{OpenCall, Peer, Underway},
};
use crate::{
    auth::{Authenticator, Call, Method, Presented, SignedHeaders, is_health},
    domain::{act::Act, certificate::ClientCertificate, refusal::Refusal},
    telemetry::RequestId,
};

/// A place for a call that anybody may make: it takes none of those who prove themselves, and a server that
/// has no more for them answers it still, so that it is not taken for one that is gone.
pub(super) async fn let_in(request: &mut Request<Body>) -> Result<Option<OpenCall>, Refusal> {
    let peer = request.extensions().get::<Peer>().cloned();
    let place = peer.as_ref().map(|peer| peer.open_call().ok_or(Refusal::Overloaded)).transpose()?;
    // Calls of reflection are streams both ways: see `reflection`.
    if is_health(request.uri().path()) {
        let body = std::mem::take(request.body_mut());
        // It waits in its own place: those that others take on the way would refuse probes.
        *request.body_mut() = Frame::collect(body, MAX_OPEN, None, body_invalid).await?.into_body();
    }
    Ok(place)
}

/// The order is: policy, syntax, time, message, a place, signature, allowance, nonce, role. Cheap
/// before dear, and nothing is stored for strangers. What is proven stands in the request's
/// extensions afterwards, and the whole message in its body.
pub(super) async fn prove(
    auth: &Authenticator,
    request: &mut Request<Body>,
) -> Result<(Option<Act>, Option<Underway>), Refusal> {
    let method = Method::find(request.uri().path())
        .filter(|_| request.method() == HttpMethod::POST && request.uri().query().is_none())
        .ok_or(Refusal::MethodNotFound)?;
    auth.fresh().await?;
    if method.is_mutation() {
        let deadline = Deadline(deadline(request.headers()));
        request.extensions_mut().insert(deadline);
    }
    let body = std::mem::take(request.body_mut());
    let request_id = request.extensions().get::<RequestId>().ok_or(Refusal::Internal)?;
    let peer = request.extensions().get::<Peer>();
    let (request_id, certificate) = (request_id.as_str(), peer.and_then(|peer| peer.certificate.as_ref()));
    let call = Call { method, request_id, peer: peer.map(|peer| peer.address), subject };
    // What a call says of itself counts before what its connection says: only one that says nothing goes by
    // the certificate.
    let proof = match (auth.read(request.headers())?, certificate) {
        (Presented::Signed(headers), _) => Shown::Signed(headers),
        (Presented::Token(token), _) if !method.is_mutation() => Shown::Token(token),
        (Presented::Nothing, Some(certificate)) if !method.is_mutation() => Shown::Certificate(certificate),
        _ => return Err(Refusal::SignatureMissing { token: !method.is_mutation() }),
    };
    // The message first: it may take its time, and the caller must be proven as of now.
    let frame = match &proof {
        Shown::Signed(headers) => {
            auth.check_window(headers)?;
            let limit = frame::limit(method, auth.knows(headers));
            Frame::collect(body, limit, peer, Refusal::SignatureMalformed).await?
        }
        Shown::Token(_) | Shown::Certificate(_) => Frame::collect(body, MAX_MESSAGE, peer, body_invalid).await?,
    };
    let under_way = peer.map(|peer| peer.call().ok_or(Refusal::Overloaded)).transpose()?;
    let proven = match proof {
        Shown::Signed(headers) => auth.by_signature(call, &headers, frame.message()).await,
        Shown::Token(token) => auth.by_token(call, token).await.map(|caller| (caller, None)),
        Shown::Certificate(certificate) => auth.by_certificate(call, certificate).await.map(|caller| (caller, None)),
    };
    // Who lacks a role is somebody all the same; who is refused by its rate may be whoever repeats what was signed.
    if let (Some(peer), Ok(_) | Err(Refusal::RoleMissing(_))) = (peer, &proven) {
        peer.prove();
    }
    let (caller, act) = proven?;
    *request.body_mut() = frame.into_body();
    request.extensions_mut().insert(caller);
    if let Some(act) = &act {
        request.extensions_mut().insert(act.clone());
    }
    Ok((act, under_way))
}

/// By what a call is to be proven.
enum Shown<'a> {
    Signed(SignedHeaders<'a>),
    Token(&'a [u8]),
    Certificate(&'a ClientCertificate),
}
