//! The text of a key is in the answer that made it, and nowhere else.

use std::path::Path;

use portcullis::{client::CallFailed, pb};

use crate::harness::{Deployment, Headers, Server, mask, rotate::rotation, watch::from};

/// A text that must not be found, and its parts.
struct Canary {
    parts: Vec<String>,
}

impl Canary {
    /// All that is not shown for ever: any 12 characters in a row of what stands behind the
    /// shown prefix.
    fn of(secret: &str) -> Self {
        let hidden = &secret[secret.rfind('_').expect("a kind") + 1 + 6..];
        assert!(hidden.len() > 30 && hidden.is_ascii());
        Self { parts: (0..=hidden.len() - 12).map(|at| hidden[at..at + 12].to_owned()).collect() }
    }

    fn must_not_be_in(&self, what: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let found = self.parts.iter().find(|part| text.contains(part.as_str()));
        assert!(found.is_none(), "{what} holds a part of a secret: {found:?}");
    }
}

fn verify(secret: &str) -> pb::VerifyKeyRequest {
    pb::VerifyKeyRequest {
        subject: Some(pb::verify_key_request::Subject::Secret(secret.to_owned())),
        ..Default::default()
    }
}

fn rate_limit(secret: &str) -> pb::GetRateLimitRequest {
    let subject = Some(pb::get_rate_limit_request::Subject::Secret(secret.to_owned()));
    pb::GetRateLimitRequest { subject, ..Default::default() }
}

/// As somebody makes it who pastes the line that the key stood in.
fn leak(secret: &str) -> pb::ReportLeakedKeyRequest {
    let source = format!("https://example.com/?key={secret} and {}", &secret[..40]);
    pb::ReportLeakedKeyRequest { secret: secret.to_owned(), source, wait: 0 }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.map(|path| (path.display().to_string(), std::fs::read(&path).expect("a file"))).collect()
}

#[tokio::test]
async fn no_file_of_the_real_program_ever_holds_a_secret_not_even_its_log_at_trace() {
    let deployment = Deployment::make().await;
    let mut process = deployment.serve(&["--log", "trace"]);
    let caller = process.caller().await;
    let application = caller.application().await;
    let made = caller.create(&application).await.expect("create");
    let key = made.key.clone().expect("key");
    let last = if made.secret.ends_with('0') { '1' } else { '0' };
    let malformed = format!("{}{last}", &made.secret[..made.secret.len() - 1]);
    let foreign = Server::start().await.key().await.secret;
    assert_eq!(caller.verdict(&made.secret).await, pb::Verdict::Valid);
    assert_eq!(caller.verdict(&malformed).await, pb::Verdict::Malformed);
    assert_eq!(caller.verdict(&foreign).await, pb::Verdict::NotFound);
    // An error, with the secret in the request.
    let wrong = pb::VerifyKeyRequest { required_permissions: vec!["no permission".to_owned()], ..verify(&made.secret) };
    let failed = caller.call::<_, pb::VerifyKeyResponse>("KeyService/VerifyKey", &wrong).await.expect_err("wrong");
    let wrong = pb::VerifyKeyRequest { application_id: "x".to_owned(), ..verify(&foreign) };
    let failed_too = caller.call::<_, pb::VerifyKeyResponse>("KeyService/VerifyKey", &wrong).await.expect_err("wrong");
    // A refusal's words are logged, and a secret may stand where it never should.
    let misplaced =
        pb::UpdateKeyRequest { key: Some(key.clone()), update_mask: mask(&[&made.secret]), ..Default::default() };
    let misplaced = caller.call::<_, pb::UpdateKeyResponse>("KeyService/UpdateKey", &misplaced).await;
    let misplaced = misplaced.expect_err("no field of a key");
    let dry = pb::VerifyKeyRequest { dry_run: true, referrer: made.secret.clone(), ..verify(&made.secret) };
    let dry: pb::VerifyKeyResponse = caller.call("KeyService/VerifyKey", &dry).await.expect("dry run");
    assert_eq!(dry.verdict(), pb::Verdict::Valid);
    for secret in [&made.secret, &malformed, &foreign] {
        let limits = caller.call::<_, pb::GetRateLimitResponse>("KeyService/GetRateLimit", &rate_limit(secret)).await;
        assert_eq!(limits.is_ok(), *secret == made.secret);
    }
    let rotated: pb::RotateKeyResponse = caller.call("KeyService/RotateKey", &rotation(&key)).await.expect("rotate");
    assert_eq!(caller.verdict(&rotated.secret).await, pb::Verdict::Valid);
    for secret in [&made.secret, &malformed, &foreign] {
        let leaked = caller.call::<_, pb::ReportLeakedKeyResponse>("KeyService/ReportLeakedKey", &leak(secret)).await;
        leaked.expect("a report");
    }
    let wrong = pb::ReportLeakedKeyRequest { wait: 99, ..leak(&made.secret) };
    let wrong = caller.call::<_, pb::ReportLeakedKeyResponse>("KeyService/ReportLeakedKey", &wrong).await;
    let wrong_report = wrong.expect_err("no value of RevokeWait");
    caller.revoke(&key).await.expect("revoke");
    assert_eq!(caller.verdict(&made.secret).await, pb::Verdict::Revoked);

    let canaries = [&made.secret, &malformed, &foreign, &rotated.secret].map(|secret| Canary::of(secret));
    let database = async || ("the database".to_owned(), deployment.data.written().await);
    let mut looked_at = vec![database().await]; // with its log, while it runs
    assert!(process.terminate().await.success());
    looked_at.push(database().await);
    looked_at.extend(files(deployment.folder.path()));
    for failed in [&failed, &failed_too, &misplaced, &wrong_report] {
        let CallFailed::Status(status) = failed else { panic!("{failed}") };
        looked_at.push(("a status".to_owned(), format!("{status:?} {:?}", status.metadata()).into_bytes()));
        looked_at.push(("its details".to_owned(), status.details().to_vec()));
    }
    for (name, bytes) in &looked_at {
        for canary in &canaries {
            canary.must_not_be_in(name, bytes);
        }
    }
    // The search finds what is there, and the log is what it is taken for.
    let holds = |end: &str, text: &str| {
        looked_at.iter().any(|(name, bytes)| name.ends_with(end) && String::from_utf8_lossy(bytes).contains(text))
    };
    assert!(holds("database", &key.prefix) && holds("database", &key.key_id));
    assert!(
        holds("log", "TRACE")
            && holds("log", "VerifyKey")
            && holds("log", "RevokeKey")
            && holds("log", "ReportLeakedKey")
    );
    assert!(holds("database", "key=[redacted] and [redacted]") && holds("database", "key.leaked"));
    assert!(holds("log", "paths[0] cannot be updated"));
}

#[tokio::test]
async fn no_answer_but_the_first_holds_a_secret() {
    let server = Server::start().await;
    let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
    let made = server.key().await;
    let canary = Canary::of(&made.secret);
    let key = made.key.clone().expect("key");
    let mut seen = vec![format!("{made:?}"), format!("{:?}", verify(&made.secret))];
    seen.push(format!("{:?}", verify(&made.secret).subject));
    seen.push(format!("{:?} {:?}", rate_limit(&made.secret), rate_limit(&made.secret).subject));
    seen.push(format!("{:?}", leak(&made.secret)));
    let get = pb::GetKeyRequest { application_id: server.app.clone(), key_id: key.key_id.clone() };
    let got: pb::GetKeyResponse = server.by_token(&server.admin, "KeyService/GetKey", &get).await.expect("get");
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let listed: pb::ListKeysResponse =
        server.by_token(&server.admin, "KeyService/ListKeys", &list).await.expect("list");
    assert_eq!(listed.keys.len(), 1);
    let verified = server.try_verify(&made.secret).await.expect("verify");
    let rotated = server.try_rotate(&server.admin, &rotation(&key)).await.expect("rotate");
    Canary::of(&rotated.secret).must_not_be_in("the words for a rotation", format!("{rotated:?}").as_bytes());
    seen.push(format!("{rotated:?} {:?}", watch.revocation().await));
    let revoked = server.revoke(&key).await;
    let (revocation, token) = watch.revocation().await;
    seen.extend([format!("{got:?}"), format!("{listed:?}"), format!("{verified:?}"), format!("{revoked:?}")]);
    seen.extend([format!("{revocation:?}"), token]);
    // A repeat of the create tells which key it was, and nothing more.
    let request = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "once".to_owned(),
        request_id: crate::harness::uuid(),
        ..Default::default()
    };
    let once: pb::CreateKeyResponse =
        server.signed(&server.admin, "KeyService/CreateKey", &request).await.expect("create");
    let again = server.signed::<_, pb::CreateKeyResponse>(&server.admin, "KeyService/CreateKey", &request).await;
    let again = again.expect_err("no second secret");
    Canary::of(&once.secret).must_not_be_in("a repeat", format!("{again:?} {:?}", again.metadata()).as_bytes());
    Canary::of(&once.secret).must_not_be_in("its details", again.details());
    // A secret in a token's place is a credential that is not repeated either.
    let bytes = crate::harness::message_bytes(&get);
    let headers = Headers::bearer(&made.secret);
    let status = server.with_headers::<pb::GetKeyResponse>("KeyService/GetKey", bytes, &headers).await.expect_err("no");
    seen.push(format!("{status:?} {:?} {:?}", status.metadata(), String::from_utf8_lossy(status.details())));
    for text in &seen {
        canary.must_not_be_in("an answer", text.as_bytes());
    }
    let rows = crate::harness::Rows::of(&server).await;
    let audited = "SELECT coalesce(\"before\", '') || coalesce(\"after\", '') || peer || request_id FROM audit_event";
    for row in rows.texts(audited).await {
        canary.must_not_be_in("the audit", row.as_bytes());
        assert!(!row.contains("secret_sha256"), "nor its hash: {row}");
    }
}
