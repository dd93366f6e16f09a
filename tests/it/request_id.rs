//! Every answer carries a request id, and every error the same one.

use portcullis::pb;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::StatusExt as _;

use crate::harness::{Headers, Server, exchange, message_bytes, nonce, refusal};

const HEADER: &str = "x-request-id";
const LIST: &str = "/portcullis.v1.ApplicationService/ListApplications";

fn id(metadata: &MetadataMap) -> String {
    let ids: Vec<_> = metadata.get_all(HEADER).iter().collect();
    assert_eq!(ids.len(), 1, "once: {metadata:?}");
    ids[0].to_str().expect("ASCII").to_owned()
}

/// The id in the metadata of a refusal, which its details repeat.
fn id_of(status: &Status) -> String {
    let id = id(status.metadata());
    let details = status.get_error_details();
    assert_eq!(details.request_info().expect("RequestInfo").request_id, id);
    id
}

fn made(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

#[tokio::test]
async fn every_answer_carries_an_id_of_its_own() {
    let server = Server::start().await;
    let token = Headers::bearer(&server.admin.token(&server));
    let first = exchange(&server, LIST, Vec::new(), &token).await.expect("list");
    let second = exchange(&server, LIST, Vec::new(), &token).await.expect("list");
    let (first, second) = (id(first.metadata()), id(second.metadata()));
    assert!(made(&first) && made(&second) && first != second, "{first} {second}");
    let open = exchange(&server, "/grpc.health.v1.Health/Check", Vec::new(), &Headers(Vec::new())).await;
    assert!(made(&id(open.expect("health").metadata())));
}

#[tokio::test]
async fn a_refusal_names_its_id_wherever_it_comes_from() {
    let server = Server::start().await;
    let token = Headers::bearer(&server.admin.token(&server));
    let sign =
        |path: &str, message: &[u8]| Headers::sign(&server.admin, path, message, server.now().seconds(), &nonce());
    let create = "/portcullis.v1.KeyService/CreateKey";
    let get = "/portcullis.v1.KeyService/GetKey";
    let missing = message_bytes(&pb::GetKeyRequest {
        application_id: server.app.clone(),
        key_id: "key_0000000000000000000000".to_owned(),
    });
    let cases = [
        ("no credential", create, vec![], Headers(Vec::new()), "SIGNATURE_MISSING"),
        ("no method", "/portcullis.v1.KeyService/X", vec![], token.clone(), "METHOD_NOT_FOUND"),
        ("no service", "/x.Y/Z", vec![], token.clone(), "METHOD_NOT_FOUND"),
        ("in an open service", "/grpc.health.v1.Health/X", vec![], token.clone(), "METHOD_NOT_FOUND"),
        ("a wrong field", create, vec![], sign(create, &[]), "FIELD_INVALID"),
        ("no message of this kind, signed", create, vec![0xff], sign(create, &[0xff]), "FIELD_INVALID"),
        ("no message of this kind, by token", get, vec![0xff], token.clone(), "FIELD_INVALID"),
        ("too large", get, vec![0; 70_000], token.clone(), "MESSAGE_TOO_LARGE"),
        ("not there", get, missing, token.clone(), "KEY_NOT_FOUND"),
    ];
    for (what, path, message, headers, reason) in cases {
        for (own, kept) in [(None, false), (Some("trace.me_7-A"), true), (Some("no spaces"), false)] {
            let headers = match own {
                Some(own) => headers.clone().set(HEADER, own),
                None => headers.clone(),
            };
            let answer = exchange(&server, path, message.clone(), &headers).await;
            let status = answer.as_ref().expect_err(what);
            let id = id_of(status);
            assert_eq!(own.is_some_and(|own| own == id), kept, "{what}: {id}");
            assert!(kept || made(&id), "{what}: {id}");
            // A signed call is good once: its second and third time it is told so.
            let told = refusal(answer).1;
            assert!(told == reason || (told == "NONCE_REUSED" && own.is_some()), "{what}: {told}");
        }
    }
}

#[tokio::test]
async fn the_callers_good_id_is_kept_and_any_other_replaced() {
    let server = Server::start().await;
    let token = Headers::bearer(&server.admin.token(&server));
    let longest = "x".repeat(64);
    for own in ["a", "Az09._-", "6f1c2f0e-0b0e-4a52-9d3c-1d6f0f0e7a11", &longest] {
        let answer = exchange(&server, LIST, Vec::new(), &token.clone().set(HEADER, own)).await.expect("list");
        assert_eq!(id(answer.metadata()), own);
    }
    for bad in ["", "a b", "a,b", "a\"b", "a/b", "${jndi:x}", &"x".repeat(65)] {
        let answer = exchange(&server, LIST, Vec::new(), &token.clone().set(HEADER, bad)).await.expect("list");
        assert!(made(&id(answer.metadata())), "{bad}");
    }
    let mut twice = token.set(HEADER, "one");
    twice.0.push((HEADER.to_owned(), "two".to_owned()));
    let answer = exchange(&server, LIST, Vec::new(), &twice).await.expect("list");
    assert!(made(&id(answer.metadata())));
}

#[tokio::test]
async fn the_last_word_of_a_stream_names_it_too() {
    let server = Server::start().await;
    let watcher = server.admin.hire_role(&server, 1, pb::Role::Watcher, &[]).await;
    let mut watch = server.watch(&watcher, &pb::WatchRevocationsRequest::default()).await.expect("watch");
    watch.bookmark().await;
    server.admin.disable_account(&server, &watcher.account_id).await.expect("disable");
    let status = loop {
        match watch.next().await {
            Ok(item) => assert!(item.is_some(), "ends with a reason"),
            Err(status) => break status,
        }
    };
    let details = status.get_error_details();
    assert!(made(&details.request_info().expect("RequestInfo").request_id));
    assert_eq!(refusal::<()>(Err(status)), (Code::Unauthenticated, "SIGNATURE_INVALID".to_owned()));
}
