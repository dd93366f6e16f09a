//! What a signature covers, and who may make one.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use portcullis::{
    pb,
    signing::{DEFAULT_AUDIENCE, KID, NONCE, SIGNATURE, Signed, TIMESTAMP},
};
use rsa::{Pkcs1v15Sign, RsaPrivateKey, pkcs8::DecodePrivateKey as _, rand_core::OsRng};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256, Sha512};
use tonic::Code;

use crate::harness::{
    Headers, RawClient, Server, Wire, all_refused, create_message, frame, good_create, message_bytes, must_pass, nonce,
    raw_refusal, test_key,
};

const INVALID: (Code, &str) = (Code::Unauthenticated, "SIGNATURE_INVALID");

fn value(wire: &Wire, name: &str) -> String {
    wire.headers[name].to_str().expect("ascii").to_owned()
}

#[tokio::test]
async fn a_signature_is_good_for_its_audience_path_time_nonce_kid_and_message_only() {
    let server = Server::start().await;
    let viewer = server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]).await;
    let good = good_create(&server);
    let (message, now) = (create_message(&server), value(&good, TIMESTAMP));
    let sign = |audience: &str, path: &str, message: &[u8]| {
        let headers = Headers::sign_for(audience, &server.admin, path, message, &now, &value(&good, NONCE));
        good.header(SIGNATURE, &[&headers.0[3].1])
    };
    let mut bent = vec![
        ("audience".to_owned(), sign("portcullis-staging", &good.path, &message)),
        ("no audience".to_owned(), sign("", &good.path, &message)),
        ("path".to_owned(), sign(DEFAULT_AUDIENCE, "/portcullis.v1.KeyService/RevokeKey", &message)),
        ("path with a slash".to_owned(), sign(DEFAULT_AUDIENCE, &format!("{}/", good.path), &message)),
        ("no message".to_owned(), sign(DEFAULT_AUDIENCE, &good.path, b"")),
        ("with its prefix".to_owned(), sign(DEFAULT_AUDIENCE, &good.path, &frame(&message))),
        ("second".to_owned(), good.header(TIMESTAMP, &[(server.now().seconds() + 1).to_string()])),
        ("nonce".to_owned(), good.header(NONCE, &[nonce()])),
        ("kid".to_owned(), good.header(KID, &[viewer.kid()])),
        ("message".to_owned(), good.body(frame(&[&message[..], &message[..]].concat()))),
        ("no message".to_owned(), good.body(frame(b""))),
    ];
    for at in 0..message.len() {
        let mut flipped = message.clone();
        flipped[at] ^= 1 << (at % 8);
        bent.push((format!("bit in byte {at}"), good.body(frame(&flipped))));
    }
    all_refused(&server, &good, INVALID, bent).await;
}

#[tokio::test]
async fn a_signature_of_one_method_does_not_call_another() {
    let server = Server::start().await;
    let key = server.key().await.key.expect("key");
    let get = message_bytes(&pb::GetKeyRequest { application_id: key.application_id, key_id: key.key_id });
    let path = "/portcullis.v1.KeyService/GetKey";
    let headers = Headers::sign(&server.admin, path, &get, server.now().seconds(), &nonce());
    // The same bytes, read as a RevokeKeyRequest, would revoke it.
    let wire = Wire::new("KeyService/RevokeKey", &get, &headers);
    let client = RawClient::connect(&server).await;
    assert_eq!(raw_refusal(&client, &wire).await, (INVALID.0, INVALID.1.to_owned()));
    client.passes(&Wire::new("KeyService/GetKey", &get, &headers)).await.expect("where it belongs");
}

#[tokio::test]
async fn another_verb_or_another_spelling_of_the_path_is_no_method() {
    let server = Server::start().await;
    let good = good_create(&server);
    let message = create_message(&server);
    let path = "/portcullis.v1.KeyService/CreateKey";
    let odd = [
        format!("{path}/"),
        format!("/{path}"),
        path.replace("/CreateKey", "//CreateKey"),
        path.replace("/C", "%2FC"),
        path.replace("KeyService", "%4beyService"),
        format!("{path}?"),
        format!("{path}?x=1"),
        path.to_lowercase(),
        format!("{path}%00"),
        format!("{path};a=b"),
        format!("/x/..{path}"),
        format!("/grpc.health.v1.Health/..{path}"),
        format!("/grpc.health.v1.Health{path}"),
        path.replace(".v1", ".v2"),
        "/".to_owned(),
        "/KeyService/CreateKey".to_owned(),
    ];
    let mut bent: Vec<_> = odd
        .into_iter()
        .map(|odd| {
            // Signed over the odd path, so that only the path can be what refuses it.
            let headers = Headers::sign(&server.admin, &odd, &message, server.now().seconds(), &value(&good, NONCE));
            let wire = good.header(SIGNATURE, &[&headers.0[3].1]).with(|wire| wire.path.clone_from(&odd));
            (odd, wire)
        })
        .collect();
    for verb in [http::Method::GET, http::Method::PUT, http::Method::DELETE] {
        bent.push((verb.to_string(), good.with(|wire| wire.verb = verb)));
    }
    all_refused(&server, &good, (Code::Unimplemented, "METHOD_NOT_FOUND"), bent).await;
}

#[tokio::test]
async fn nothing_in_the_trailers_proves_a_caller() {
    let server = Server::start().await;
    let good = good_create(&server);
    let names = [KID, TIMESTAMP, NONCE, SIGNATURE];
    let bare = good.with(|wire| {
        let moved = names.map(|name| (http::HeaderName::from_static(name), wire.headers.remove(name).expect(name)));
        wire.trailers = Some(moved.into_iter().collect());
    });
    all_refused(&server, &good, (Code::Unauthenticated, "SIGNATURE_MISSING"), [("moved".to_owned(), bare)]).await;

    let good = good_create(&server);
    let bent = names.map(|name| {
        let repeated = good.with(|wire| {
            let value = wire.headers[name].clone();
            wire.trailers = Some([(http::HeaderName::from_static(name), value)].into_iter().collect());
        });
        (name.to_owned(), repeated)
    });
    all_refused(&server, &good, (Code::Unauthenticated, "SIGNATURE_MALFORMED"), bent).await;
}

#[tokio::test]
async fn an_unknown_kid_and_a_wrong_signature_are_answered_by_the_same_bytes() {
    let server = Server::start().await;
    let good = good_create(&server).header("x-request-id", &["same"]);
    let wrong = good.header(SIGNATURE, &[BASE64_STANDARD.encode([1; 256])]);
    let unknown = wrong.header(KID, &[test_key(7).public().kid().as_str()]);
    let client = RawClient::connect(&server).await;
    let mut answers = Vec::new();
    for wire in [&wrong, &unknown] {
        let mut headers = client.send(wire).await.expect("answer").headers;
        headers.remove("date");
        answers.push(headers);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0]["grpc-status"], "16");
    let bent = [("wrong".to_owned(), wrong), ("unknown".to_owned(), unknown)];
    all_refused(&server, &good, INVALID, bent).await;
}

#[tokio::test]
async fn a_retired_key_and_a_disabled_account_sign_nothing() {
    let server = Server::start().await;
    let persona = server.admin.hire_role(&server, 1, pb::Role::Editor, &["*"]).await;
    let sign = |name: &str| {
        let message = create_message(&server);
        let path = format!("/portcullis.v1.{name}");
        let headers = Headers::sign(&persona, &path, &message, server.now().seconds(), &nonce());
        Wire::new(name, &message, &headers)
    };
    let client = RawClient::connect(&server).await;
    must_pass(&client, &sign("KeyService/CreateKey")).await;
    let remove = pb::RemoveServiceAccountKeyRequest {
        service_account_id: persona.account_id.clone(),
        kid: persona.kid(),
        wait: 0,
    };
    let _: pb::RemoveServiceAccountKeyResponse =
        server.signed(&server.admin, "ServiceAccountService/RemoveServiceAccountKey", &remove).await.expect("remove");
    let bent = [("retired".to_owned(), sign("KeyService/CreateKey"))];
    all_refused(&server, &good_create(&server), INVALID, bent).await;

    let add = pb::AddServiceAccountKeyRequest {
        service_account_id: persona.account_id.clone(),
        public_key_pem: persona.key.public().to_pem().to_owned(),
        wait: 0,
    };
    let _: pb::AddServiceAccountKeyResponse =
        server.signed(&server.admin, "ServiceAccountService/AddServiceAccountKey", &add).await.expect("add");
    must_pass(&client, &sign("KeyService/CreateKey")).await;
    let disable =
        pb::DisableServiceAccountRequest { service_account_id: persona.account_id.clone(), ..Default::default() };
    let _: pb::DisableServiceAccountResponse =
        server.signed(&server.admin, "ServiceAccountService/DisableServiceAccount", &disable).await.expect("disable");
    let bent = [("disabled".to_owned(), sign("KeyService/CreateKey"))];
    all_refused(&server, &good_create(&server), INVALID, bent).await;
}

#[tokio::test]
async fn no_other_scheme_of_rsa_passes() {
    let server = Server::start().await;
    let good = good_create(&server);
    let key = RsaPrivateKey::from_pkcs8_pem(server.admin.key.to_pem().expect("pem").expose_secret()).expect("key");
    let (timestamp, nonce, kid) = (value(&good, TIMESTAMP), value(&good, NONCE), server.admin.kid());
    let message = create_message(&server);
    let text = Signed {
        audience: DEFAULT_AUDIENCE,
        path: &good.path,
        timestamp: &timestamp,
        nonce: &nonce,
        kid: &kid,
        message: &message,
    }
    .text();
    let sha256 = Sha256::digest(text.as_bytes());
    let scheme = |prefix: &[u8], length| Pkcs1v15Sign { hash_len: Some(length), prefix: prefix.into() };
    // DigestInfo with the parameters left out, with SHA-1's name, and with SHA-256's over another length.
    let no_null = [0x30, 0x2f, 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 4, 0x20];
    let sha1 = [0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14];
    let pkcs1 = |scheme, digest: &[u8]| key.sign(scheme, digest).expect("sign");
    let other = [
        ("PSS", key.sign_with_rng(&mut OsRng, rsa::Pss::new::<rsa::sha2::Sha256>(), &sha256).expect("sign")),
        ("SHA-512", pkcs1(Pkcs1v15Sign::new::<rsa::sha2::Sha512>(), &Sha512::digest(text.as_bytes()))),
        ("SHA-1", pkcs1(scheme(&sha1, 20), &sha256[..20])),
        ("no NULL", pkcs1(scheme(&no_null, 32), &sha256)),
        ("no DigestInfo", pkcs1(Pkcs1v15Sign::new_unprefixed(), &sha256)),
        ("the digest signed as text", pkcs1(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &Sha256::digest(sha256))),
    ];
    let bent = other.map(|(what, bytes)| (what.to_owned(), good.header(SIGNATURE, &[BASE64_STANDARD.encode(bytes)])));
    all_refused(&server, &good, INVALID, bent).await;
}
