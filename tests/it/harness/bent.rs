use portcullis::pb;
use tonic::Code;

use super::{Headers, RawClient, Server, Wire, message_bytes, nonce, refusal};

/// A good call that makes a key, which nobody has sent yet.
pub(crate) fn good_create(server: &Server) -> Wire {
    let message = create_message(server);
    let path = "/portcullis.v1.KeyService/CreateKey";
    let headers = Headers::sign(&server.admin, path, &message, server.now().seconds(), &nonce());
    Wire::new("KeyService/CreateKey", &message, &headers)
}

pub(crate) fn create_message(server: &Server) -> Vec<u8> {
    message_bytes(&pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "key".to_owned(),
        permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    })
}

/// Sends each bent copy of a good call, on one connection. Each is refused so, nothing is
/// written, and the good call itself, with the same nonce, passes afterwards.
pub(crate) async fn all_refused(
    server: &Server,
    good: &Wire,
    (code, reason): (Code, &str),
    bent: impl IntoIterator<Item = (String, Wire)>,
) {
    let client = RawClient::connect(server).await;
    let before = server.rows().await;
    for (what, wire) in bent {
        let answer = client.send(&wire).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        let status = answer.result::<pb::CreateKeyResponse>().expect_err(&what);
        assert_eq!((status.code(), super::reason(&status).as_str()), (code, reason), "{what}: {status:?}");
        assert!(!status.message().is_empty(), "{what}: says why");
    }
    assert_eq!(server.rows().await, before, "nothing was written");
    must_pass(&client, good).await;
    let after = server.rows().await;
    assert_eq!((after.keys, after.nonces), (before.keys + 1, before.nonces + 1));
}

/// A good create makes its key.
pub(crate) async fn must_pass(client: &RawClient, good: &Wire) {
    let made: pb::CreateKeyResponse = client.send(good).await.expect("answer").result().expect("create");
    assert!(made.key.is_some_and(|key| key.state() == pb::KeyState::Active));
}

/// What a raw call is refused with.
pub(crate) async fn raw_refusal(client: &RawClient, wire: &Wire) -> (Code, String) {
    refusal(client.send(wire).await.expect("answer").result::<pb::CreateKeyResponse>())
}
