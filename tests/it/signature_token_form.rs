//! The form of a signed token, and of the header that carries it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis::pb;
use prost::Message as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::Code;

use crate::harness::{Headers, RawClient, Server, Wire, good_create, must_pass, refusal};

const INVALID: (Code, &str) = (Code::Unauthenticated, "TOKEN_INVALID");

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

fn header(server: &Server) -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": server.admin.kid() })
}

fn claims(server: &Server) -> Value {
    let (now, email) = (server.now().seconds(), &server.admin.email);
    json!({ "iss": email, "sub": email, "aud": "portcullis", "iat": now, "exp": now + 60 })
}

/// Signed as RS256, whatever the header says.
fn token(server: &Server, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = server.admin.key.sign(signed.as_bytes()).expect("sign");
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn changed(mut json: Value, name: &str, value: Value) -> Value {
    json[name] = value;
    json
}

fn without(mut json: Value, name: &str) -> Value {
    json.as_object_mut().expect("an object").remove(name);
    json
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key))
    } else {
        block[..key.len()].copy_from_slice(key)
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::digest([&pad(0x36)[..], text].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

fn list(server: &Server, authorization: &[&str]) -> Wire {
    let message = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() }.encode_to_vec();
    Wire::new("KeyService/ListKeys", &message, &Headers(Vec::new())).header("authorization", authorization)
}

async fn all_invalid(server: &Server, bad: Vec<(&str, Vec<String>)>) {
    let client = RawClient::connect(server).await;
    for (what, values) in bad {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let answer = client.send(&list(server, &values)).await.expect("answer").result::<pb::ListKeysResponse>();
        assert_eq!(refusal(answer), (INVALID.0, INVALID.1.to_owned()), "{what}");
    }
    let good = format!("Bearer {}", token(server, &header(server), &claims(server)));
    client.passes(&list(server, &[&good])).await.expect("a good one");
    must_pass(&client, &good_create(server)).await;
}

#[tokio::test]
async fn a_token_is_rs256_with_a_known_kid_and_nothing_that_must_be_understood() {
    let server = Server::start().await;
    let (header, claims) = (header(&server), claims(&server));
    let alg = |alg: Value| token(&server, &changed(header.clone(), "alg", alg), &claims);
    let unsigned = |alg: &str| format!("{}.{}.", part(&changed(header.clone(), "alg", json!(alg))), part(&claims));
    // The well-known confusion: the public key as the secret of an HMAC.
    let signed = format!("{}.{}", part(&changed(header.clone(), "alg", json!("HS256"))), part(&claims));
    let pem = server.admin.key.public().to_pem();
    let confused =
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(hmac_sha256(pem.as_bytes(), signed.as_bytes())));
    let bad = [
        ("none", unsigned("none")),
        ("None", unsigned("None")),
        ("RS256 without a signature", unsigned("RS256")),
        ("none, signed", alg(json!("none"))),
        ("HS256 by the public key", confused),
        ("RS512", alg(json!("RS512"))),
        ("PS256", alg(json!("PS256"))),
        ("rs256", alg(json!("rs256"))),
        ("alg of another type", alg(json!(["RS256"]))),
        ("no alg", token(&server, &without(header.clone(), "alg"), &claims)),
        ("no kid", token(&server, &without(header.clone(), "kid"), &claims)),
        ("an unknown kid", token(&server, &changed(header.clone(), "kid", json!("A".repeat(43))), &claims)),
        ("a kid that is a path", token(&server, &changed(header.clone(), "kid", json!("../../etc/passwd")), &claims)),
        ("crit", token(&server, &changed(header.clone(), "crit", json!(["exp"])), &claims)),
        ("an empty crit", token(&server, &changed(header.clone(), "crit", json!([])), &claims)),
        ("no exp", token(&server, &header, &without(claims.clone(), "exp"))),
        ("no iat", token(&server, &header, &without(claims.clone(), "iat"))),
        ("no aud", token(&server, &header, &without(claims.clone(), "aud"))),
        ("no iss", token(&server, &header, &without(claims.clone(), "iss"))),
        ("exp as text", token(&server, &header, &changed(claims.clone(), "exp", json!("1795219260")))),
        ("exp as a fraction", token(&server, &header, &changed(claims.clone(), "exp", json!(1_795_219_260.5)))),
        ("exp beyond 64 bits", token(&server, &header, &changed(claims.clone(), "exp", json!(1e30)))),
        ("aud of numbers", token(&server, &header, &changed(claims.clone(), "aud", json!([1])))),
        ("claims that are a list", token(&server, &header, &json!(["portcullis"]))),
    ];
    all_invalid(&server, bad.into_iter().map(|(what, token)| (what, vec![format!("Bearer {token}")])).collect()).await;
}

#[tokio::test]
async fn a_token_is_believed_byte_for_byte() {
    let server = Server::start().await;
    let good = token(&server, &header(&server), &claims(&server));
    let parts: Vec<_> = good.split('.').collect();
    // Known to the server from now on: what follows must not be taken for it.
    let bearer = |token: &str| format!("Bearer {token}");
    let client = RawClient::connect(&server).await;
    client.passes(&list(&server, &[&bearer(&good)])).await.expect("good");
    let later = part(&changed(claims(&server), "exp", json!(server.now().seconds() + 3600)));
    let other = part(&changed(header(&server), "typ", json!("at+jwt")));
    let last = parts[2].chars().last().expect("a character");
    let flipped = if last == 'A' { 'Q' } else { 'A' };
    let bad = vec![
        ("longer", vec![bearer(&[parts[0], &later, parts[2]].join("."))]),
        ("another header", vec![bearer(&[&other, parts[1], parts[2]].join("."))]),
        ("another signature", vec![bearer(&format!("{}{flipped}", &good[..good.len() - 1]))]),
        ("trailing bits", vec![bearer(&format!("{}{}", &good[..good.len() - 1], char::from(last as u8 + 1)))]),
        ("padded", vec![bearer(&format!("{good}=="))]),
        ("a part more", vec![bearer(&format!("{good}.x"))]),
        ("a dot more", vec![bearer(&format!("{good}."))]),
        ("a part less", vec![bearer(&parts[..2].join("."))]),
        ("no part", vec![bearer("")]),
        ("dots", vec![bearer("..")]),
        ("a space behind", vec![bearer(&format!("{good} "))]),
        ("two spaces", vec![format!("Bearer  {good}")]),
        ("no scheme", vec![good.clone()]),
        ("another scheme", vec![format!("Basic {good}")]),
        ("no space", vec![format!("Bearer{good}")]),
        ("empty", vec![String::new()]),
        ("only the scheme", vec!["Bearer".to_owned()]),
        ("twice", vec![bearer(&good), bearer(&good)]),
        ("joined by a comma", vec![format!("{}, {}", bearer(&good), bearer(&good))]),
        ("not ASCII", vec![bearer("é.é.é")]),
        ("16,000 characters", vec![bearer(&"a".repeat(15_000))]),
    ];
    all_invalid(&server, bad).await;
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case() {
    let server = Server::start().await;
    let good = token(&server, &header(&server), &claims(&server));
    let client = RawClient::connect(&server).await;
    for scheme in ["bearer", "BEARER", "Bearer"] {
        client.passes(&list(&server, &[&format!("{scheme} {good}")])).await.expect(scheme);
    }
}
