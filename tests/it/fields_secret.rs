//! Bad input 38: what is presented as a key and is none.

use portcullis::pb;

use crate::harness::{Headers, Server, refusal};

#[tokio::test]
async fn only_the_exact_text_of_a_key_is_one() {
    let server = Server::start().await;
    let made = server.key().await;
    let good = made.secret.as_str();
    let letter = good.rfind(|c: char| c.is_ascii_alphabetic()).expect("a letter");
    let other_case: String = good
        .char_indices()
        .map(|(at, c)| match c {
            c if at != letter => c,
            c if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
            c => c.to_ascii_lowercase(),
        })
        .collect();
    let last = if good.ends_with('0') { '1' } else { '0' };
    let wrong_checksum = format!("{}{last}", &good[..good.len() - 1]);
    let bad = [
        String::new(),
        wrong_checksum,
        other_case,
        good.to_uppercase(),
        format!("{good}\n"),
        format!("{good}\0"),
        format!(" {good}"),
        format!("{good} "),
        format!("Bearer {good}"),
        format!("\u{feff}{good}"),
        good[..good.len() - 1].to_owned(),
        format!("{good}0"),
        "sk_live_".to_owned(),
        made.key.as_ref().expect("key").prefix.clone(),
        // Cyrillic.
        good.replacen('s', "\u{455}", 1),
        good.replacen("live", "test", 1),
        good.replacen("sk_", "pk_", 1),
        format!("acme_{good}"),
        "A".repeat(60 * 1024),
        made.key.as_ref().expect("key").key_id.clone(),
        "%".to_owned(),
    ];
    for text in bad {
        let answer = server.try_verify(&text).await.expect("verify");
        assert_eq!(answer.verdict(), pb::Verdict::Malformed, "{text:.80}");
        assert_eq!((answer.key_id, answer.name), (String::new(), String::new()), "and says nothing of any key");
    }
    assert_eq!(server.verdict(good).await, pb::Verdict::Valid);
}

#[tokio::test]
async fn a_megabyte_is_too_large_by_token_and_by_signature() {
    let server = Server::start().await;
    let ask = pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::Secret("s".repeat(1 << 20))),
        ..Default::default()
    };
    let too_large = (tonic::Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned());
    let answer = server.signed::<_, ()>(&server.admin, "KeyService/VerifyKey", &ask).await;
    assert_eq!(refusal(answer), too_large);
    let headers = Headers::bearer(&server.admin.token(&server));
    let bytes = crate::harness::message_bytes(&ask);
    let answer = server.with_headers::<()>("KeyService/VerifyKey", bytes, &headers).await;
    assert_eq!(refusal(answer), too_large);
    server.key().await;
}
