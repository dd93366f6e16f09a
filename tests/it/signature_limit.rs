//! How many signed calls an account may make in a second. The clock stands still, so a
//! second is as long as the test wants.

use std::time::Duration;

use portcullis::{pb, signing::SIGNATURE};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{RawClient, Server, Setup, good_create, must_pass, raw_refusal};

const PER_SECOND: u32 = 5;

async fn server() -> Server {
    Server::start_with(Setup { signed_calls_per_second: PER_SECOND, ..Setup::default() }).await
}

#[tokio::test]
async fn above_its_signed_calls_a_second_an_account_is_told_when_to_come_back() {
    let server = server().await;
    let other = server.admin.hire_role(&server, 1, pb::Role::Editor, &["*"]).await;
    server.advance(Duration::from_secs(1)).await;
    let client = RawClient::connect(&server).await;
    for _ in 0..PER_SECOND {
        must_pass(&client, &good_create(&server)).await;
    }
    let (before, late) = (server.rows().await, good_create(&server));
    let status = client.send(&late).await.expect("answer").result::<pb::CreateKeyResponse>().expect_err("too many");
    assert_eq!((status.code(), crate::harness::reason(&status)), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
    let retry = status.get_error_details().retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert_eq!(retry, Duration::from_millis(200), "a fifth of a second for a fifth of the calls");
    assert_eq!(server.rows().await, before, "nothing was written, and the nonce is not spent");

    // Neither its tokens nor another account are any slower.
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let _: pb::ListKeysResponse = server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("token");
    for _ in 0..PER_SECOND {
        let _: pb::ListKeysResponse = server.signed(&other, "KeyService/ListKeys", &list).await.expect("another");
    }

    server.advance(retry - Duration::from_micros(1)).await;
    assert_eq!(raw_refusal(&client, &late).await.1, "RATE_LIMITED");
    server.advance(Duration::from_micros(1)).await;
    must_pass(&client, &late).await;
    assert_eq!(raw_refusal(&client, &good_create(&server)).await.1, "RATE_LIMITED", "one more, and not two");
}

#[tokio::test]
async fn calls_that_prove_nothing_spend_nobody_s_allowance() {
    let server = server().await;
    let client = RawClient::connect(&server).await;
    for _ in 0..3 * PER_SECOND {
        let forged = good_create(&server).header(SIGNATURE, &["AAAA".repeat(85) + "AQ=="]);
        assert_eq!(raw_refusal(&client, &forged).await.1, "SIGNATURE_INVALID");
    }
    for _ in 0..PER_SECOND {
        must_pass(&client, &good_create(&server)).await;
    }
    assert_eq!(raw_refusal(&client, &good_create(&server)).await.1, "RATE_LIMITED");
}
