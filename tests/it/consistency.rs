//! How old an answer may be: `min_revision`.

use std::time::Duration;

use portcullis::pb;
use prost::Message as _;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Headers, Server, Setup, WriteLock, reason, refusal};

pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) fn ask(secret: &str) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::Secret(secret.to_owned())),
        ..Default::default()
    }
}

pub(crate) async fn verify(server: &Server, request: &pb::VerifyKeyRequest) -> Result<pb::VerifyKeyResponse, Status> {
    server.by_token(&server.admin, "KeyService/VerifyKey", request).await
}

pub(crate) async fn verify_from(
    server: &Server,
    secret: &str,
    min_revision: i64,
) -> Result<pb::VerifyKeyResponse, Status> {
    verify(server, &pb::VerifyKeyRequest { min_revision, ..ask(secret) }).await
}

pub(crate) async fn revoke(
    server: &Server,
    key: &pb::Key,
    wait: pb::RevokeWait,
) -> Result<pb::RevokeKeyResponse, Status> {
    let request = pb::RevokeKeyRequest {
        application_id: key.application_id.clone(),
        key_id: key.key_id.clone(),
        wait: wait.into(),
        ..Default::default()
    };
    server.signed(&server.admin, "KeyService/RevokeKey", &request).await
}

#[tokio::test]
async fn an_answer_rests_on_min_revision_or_a_later_one() {
    let server = Server::start_with(Setup::held()).await;
    let made = create_unconfirmed(&server).await;
    let key = made.key.clone().expect("key");
    let answer = verify_from(&server, &made.secret, made.revision).await.expect("verify");
    assert_eq!((answer.verdict(), answer.revision), (pb::Verdict::Valid, made.revision));

    server.at_rest().await;
    let revoked = revoke(&server, &key, pb::RevokeWait::None).await.expect("revoke");
    let answer = verify_from(&server, &made.secret, 0).await.expect("verify");
    assert_eq!(
        (answer.verdict(), answer.revision),
        (pb::Verdict::Valid, made.revision),
        "the replica has yet to follow"
    );
    let request = pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::KeyId(key.key_id)),
        dry_run: true,
        min_revision: revoked.revision,
        ..Default::default()
    };
    let answer = verify(&server, &request).await.expect("a dry run waits too");
    assert_eq!((answer.verdict(), answer.revision), (pb::Verdict::Revoked, revoked.revision));
    let answer = verify_from(&server, &made.secret, revoked.revision).await.expect("verify");
    assert_eq!((answer.verdict(), answer.revision), (pb::Verdict::Revoked, revoked.revision));
}

/// A key that the replica need not have applied yet.
pub(crate) async fn create_unconfirmed(server: &Server) -> pb::CreateKeyResponse {
    server.key_with(|request| request.wait = pb::RevokeWait::None.into()).await
}

#[tokio::test]
async fn a_revision_that_does_not_exist_is_unavailable_as_soon_as_that_is_known() {
    let server = Server::start_with(Setup::held()).await;
    let made = create_unconfirmed(&server).await;
    for (min_revision, dry_run) in [(made.revision + 1, false), (i64::MAX, false), (i64::MAX, true)] {
        let begun = Instant::now();
        let request = pb::VerifyKeyRequest { min_revision, dry_run, ..ask(&made.secret) };
        let status = verify(&server, &request).await.expect_err("there is no such revision");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "REVISION_NOT_REACHED"));
        let details = status.get_error_details();
        assert_eq!(details.error_info().expect("info").metadata["applied_revision"], made.revision.to_string());
        assert!(details.retry_info().is_some());
        assert!(begun.elapsed() < Duration::from_millis(1500), "one sync, and no waiting: {:?}", begun.elapsed());
    }
    let answer = verify_from(&server, "nonsense", i64::MAX).await;
    assert_eq!(refusal(answer), (Code::Unavailable, "REVISION_NOT_REACHED".to_owned()), "whatever is asked");
}

#[tokio::test]
async fn a_negative_min_revision_is_refused() {
    let server = Server::start().await;
    for min_revision in [-1, i64::MIN] {
        let request = pb::VerifyKeyRequest { min_revision, ..ask("sk_live_nonsense") };
        server.refuses_fields("KeyService/VerifyKey", &request, &["min_revision"]).await;
    }
}

#[tokio::test]
async fn who_waits_for_a_revision_hears_before_its_deadline_and_holds_up_nobody() {
    let server = Server::start_with(Setup::held()).await;
    let made = create_unconfirmed(&server).await;
    verify_from(&server, &made.secret, made.revision).await.expect("verify");
    let key = made.key.expect("key");
    server.at_rest().await;
    let revoked = revoke(&server, &key, pb::RevokeWait::None).await.expect("revoke");
    // Somebody else has the database: no sync gets through.
    let lock = WriteLock::take(&server).await;
    let wish = pb::VerifyKeyRequest { min_revision: revoked.revision, ..ask(&made.secret) };
    let hurried = Headers::bearer(&server.admin.token(&server)).set("grpc-timeout", "1500m");
    let begun = Instant::now();
    let answer =
        server.with_headers::<pb::VerifyKeyResponse>("KeyService/VerifyKey", wish.encode_to_vec(), &hurried).await;
    assert_eq!(refusal(answer), (Code::Unavailable, "REVISION_NOT_REACHED".to_owned()));
    assert!(begun.elapsed() < Duration::from_millis(1500), "before the caller's own deadline: {:?}", begun.elapsed());

    let begun = Instant::now();
    assert_eq!(refusal(verify(&server, &wish).await).1, "REVISION_NOT_REACHED");
    let waited = begun.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(6)).contains(&waited), "briefly: {waited:?}");

    let waiting = futures_util::future::join_all((0..60).map(|_| verify(&server, &wish)));
    let others = async {
        for _ in 0..20 {
            assert_eq!(verify(&server, &ask(&made.secret)).await.expect("verify").verdict(), pb::Verdict::Valid);
        }
        lock.release().await;
        Instant::now()
    };
    let (answers, released) = tokio::join!(waiting, others);
    for answer in answers {
        assert_eq!(answer.expect("reached").verdict(), pb::Verdict::Revoked);
    }
    assert!(released.elapsed() < SOON);
}
