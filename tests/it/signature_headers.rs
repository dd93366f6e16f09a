//! The four headers of a signed request, bent one at a time. Each copy is signed over what
//! it says, so that only its form can be what refuses it.

use portcullis::signing::{DEFAULT_AUDIENCE, KID, NONCE, SIGNATURE, TIMESTAMP};
use tonic::Code;

use crate::harness::{
    Headers, RawClient, Server, Wire, all_refused, create_message, good_create, header_map, must_pass, nonce,
    raw_refusal,
};

const NAMES: [&str; 4] = [KID, TIMESTAMP, NONCE, SIGNATURE];
const MALFORMED: (Code, &str) = (Code::Unauthenticated, "SIGNATURE_MALFORMED");
const INVALID: (Code, &str) = (Code::Unauthenticated, "SIGNATURE_INVALID");

fn value(wire: &Wire, name: &str) -> String {
    wire.headers[name].to_str().expect("ascii").to_owned()
}

/// The call signed over this timestamp and nonce, whatever they look like.
fn signed_over(server: &Server, good: &Wire, timestamp: &str, nonce: &str) -> Wire {
    let message = create_message(server);
    let headers = Headers::sign_for(DEFAULT_AUDIENCE, &server.admin, &good.path, &message, timestamp, nonce);
    // A value that is not visible ASCII goes as bytes.
    let signature = headers.0.iter().find(|(name, _)| name == SIGNATURE).expect("signature").1.clone();
    good.header(TIMESTAMP, &[timestamp]).header(NONCE, &[nonce]).header(SIGNATURE, &[signature])
}

#[tokio::test]
async fn a_call_without_one_of_the_headers_is_refused() {
    let server = Server::start().await;
    let good = good_create(&server);
    let none: [&str; 0] = [];
    all_refused(&server, &good, MALFORMED, NAMES.map(|name| (name.to_owned(), good.header(name, &none)))).await;
    let good = good_create(&server);
    let bare = NAMES.iter().fold(good.clone(), |wire, name| wire.header(name, &none));
    all_refused(&server, &good, (Code::Unauthenticated, "SIGNATURE_MISSING"), [("all".to_owned(), bare)]).await;
}

#[tokio::test]
async fn a_header_given_twice_is_refused_whichever_of_the_two_is_good() {
    let server = Server::start().await;
    let good = good_create(&server);
    let bent = NAMES.iter().flat_map(|name| {
        let value = value(&good, name);
        let other = value.chars().rev().collect::<String>();
        let pairs = [
            [other.clone(), value.clone()],
            [value.clone(), other],
            [value.clone(), value.clone()],
            [value, String::new()],
        ];
        pairs.map(|pair| (format!("{name}: {pair:?}"), good.header(name, &pair)))
    });
    all_refused(&server, &good, MALFORMED, bent.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn values_that_a_proxy_joined_by_a_comma_are_refused() {
    let server = Server::start().await;
    let good = good_create(&server);
    let bent = NAMES.iter().flat_map(|name| {
        let value = value(&good, name);
        let joined = [format!("{value},{value}"), format!("{value}, x"), format!("x,{value}"), format!("{value},")];
        joined.map(|text| (format!("{name}: {text}"), good.header(name, &[text])))
    });
    all_refused(&server, &good, MALFORMED, bent.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn an_empty_value_is_refused() {
    let server = Server::start().await;
    let good = good_create(&server);
    all_refused(&server, &good, MALFORMED, NAMES.map(|name| (name.to_owned(), good.header(name, &[""])))).await;
}

#[tokio::test]
async fn a_timestamp_in_milliseconds_is_told_so() {
    let server = Server::start().await;
    let good = good_create(&server);
    let millis = signed_over(&server, &good, "1795219200000", &nonce());
    let client = RawClient::connect(&server).await;
    let status = client
        .send(&millis)
        .await
        .expect("answer")
        .result::<portcullis::pb::CreateKeyResponse>()
        .expect_err("milliseconds");
    assert!(status.message().contains("milliseconds"), "{status:?}");
    let refused = (Code::Unauthenticated, "TIMESTAMP_OUT_OF_WINDOW");
    all_refused(&server, &good, refused, [("milliseconds".to_owned(), millis)]).await;
}

#[tokio::test]
async fn only_ten_digits_are_a_timestamp() {
    let server = Server::start().await;
    let good = good_create(&server);
    let texts = [
        "+1795219200",
        "01795219200",
        "0795219200",
        " 1795219200",
        "1795219200 ",
        "17952192 0",
        "-179521920",
        "1795219200.0",
        "1.79521e9",
        "0x6b012f40",
        "179521920",
        "17952192000",
        "179521920000",
        "9223372036854775808",
        "18446744073709551616",
        "17952192000000",
        "1795219200s",
        "١٧٩٥٢١٩٢٠٠",
        "1795219200\u{a0}",
        "１７９５２１９２００",
        "NaN",
    ];
    let bent = texts.map(|text| (text.to_owned(), signed_over(&server, &good, text, &nonce())));
    all_refused(&server, &good, MALFORMED, bent).await;
}

#[tokio::test]
async fn a_nonce_is_22_to_64_of_its_alphabet() {
    let server = Server::start().await;
    let good = good_create(&server);
    let now = server.now().seconds().to_string();
    let pad = |text: &str| format!("{text:x<30}");
    let texts = [
        "a".repeat(21),
        "a".repeat(65),
        "a".repeat(4096),
        pad("a b"),
        pad(" a"),
        format!("{} ", pad("a")),
        pad("a\tb"),
        pad("a.b"),
        pad("a=b"),
        pad("a+b"),
        pad("a/b"),
        pad("é"),
        pad("\u{202e}"),
        pad("a\u{a0}"),
    ];
    let bent = texts.map(|text| (text.clone(), signed_over(&server, &good, &now, &text)));
    all_refused(&server, &good, MALFORMED, bent).await;
    let client = RawClient::connect(&server).await;
    for length in [22, 64] {
        must_pass(&client, &signed_over(&server, &good, &now, &"-_Az09".repeat(11)[..length])).await;
    }
}

#[tokio::test]
async fn a_kid_is_43_of_its_alphabet() {
    let server = Server::start().await;
    let good = good_create(&server);
    let kid = value(&good, KID);
    let texts = [
        kid[1..].to_owned(),
        format!("{kid}A"),
        format!("{kid}="),
        format!(" {kid}"),
        format!("{kid} "),
        format!("+{}", &kid[1..]),
        format!("é{}", &kid[2..]),
        "a".repeat(8000),
    ];
    let bent = texts.map(|text| (text.clone(), good.header(KID, &[text])));
    all_refused(&server, &good, MALFORMED, bent).await;
}

#[tokio::test]
async fn a_signature_has_one_spelling() {
    let server = Server::start().await;
    let mut good = good_create(&server);
    while !value(&good, SIGNATURE).contains(['+', '/']) {
        good = good_create(&server);
    }
    let signature = value(&good, SIGNATURE);
    let stem = signature.strip_suffix("==").expect("256 bytes are padded so");
    // The last character holds two bits of the signature, and four that must be zero.
    let last = stem.chars().last().expect("a character");
    let trailing = format!("{}{}==", &stem[..stem.len() - 1], char::from(last as u8 + 1));
    let texts = [
        ("url alphabet", signature.replace('+', "-").replace('/', "_")),
        ("unpadded", stem.to_owned()),
        ("half padded", format!("{stem}=")),
        ("padded more", format!("{signature}=")),
        ("trailing bits", trailing),
        ("space before", format!(" {signature}")),
        ("space behind", format!("{signature} ")),
        ("space within", format!("{} {}", &signature[..100], &signature[100..])),
        ("tab within", format!("{}\t{}", &signature[..100], &signature[100..])),
        ("not ASCII", format!("é{}", &signature[2..])),
        ("hexadecimal", "ab".repeat(256) + "g"),
    ];
    let bent = texts.map(|(what, text)| (what.to_owned(), good.header(SIGNATURE, &[text])));
    all_refused(&server, &good, MALFORMED, bent).await;
}

#[tokio::test]
async fn a_signature_of_another_length_or_value_is_invalid() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use rsa::{pkcs8::DecodePublicKey as _, traits::PublicKeyParts as _};

    let server = Server::start().await;
    let good = good_create(&server);
    let bytes = BASE64_STANDARD.decode(value(&good, SIGNATURE)).expect("base64");
    let modulus = rsa::RsaPublicKey::from_public_key_pem(server.admin.key.public().to_pem()).expect("key");
    let n = modulus.n().to_bytes_be();
    let mut above = n.clone();
    above[255] |= 1;
    above[254] = above[254].wrapping_add(1).max(1);
    let values = [
        ("a byte short", bytes[1..].to_vec()),
        ("a byte cut off", bytes[..255].to_vec()),
        ("a byte long", [&bytes[..], &[0]].concat()),
        ("a zero before", [&[0], &bytes[..]].concat()),
        ("one byte", vec![1]),
        ("8 KiB", vec![7; 8192]),
        ("all zero", vec![0; 256]),
        ("one", [vec![0; 255], vec![1]].concat()),
        ("n", n),
        ("above n", above),
        ("all ones", vec![0xff; 256]),
        ("reversed", bytes.iter().rev().copied().collect()),
    ];
    let bent = values.map(|(what, value)| (what.to_owned(), good.header(SIGNATURE, &[BASE64_STANDARD.encode(value)])));
    all_refused(&server, &good, INVALID, bent).await;
}

#[tokio::test]
async fn a_signature_beside_a_token_is_refused() {
    let server = Server::start().await;
    let good = good_create(&server);
    let both = good.with(|wire| wire.headers.extend(header_map(&Headers::bearer(&server.admin.token(&server)))));
    let client = RawClient::connect(&server).await;
    assert_eq!(raw_refusal(&client, &both).await, (MALFORMED.0, MALFORMED.1.to_owned()));
    all_refused(&server, &good, MALFORMED, [("both".to_owned(), both)]).await;
}
