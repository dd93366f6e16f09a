//! A signature is good once: for every method, after a restart, and as long as its
//! timestamp is.

use std::time::Duration;

use portcullis::{auth::METHODS, pb};
use prost::Message as _;
use tonic::Code;

use crate::harness::{
    Headers, Persona, RawClient, Server, Wire, good_create, message_bytes, must_pass, nonce, raw_refusal, refusal,
    test_key,
};

const REUSED: (Code, &str) = (Code::Unauthenticated, "NONCE_REUSED");
const OUT_OF_WINDOW: (Code, &str) = (Code::Unauthenticated, "TIMESTAMP_OUT_OF_WINDOW");

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:9/";

/// Something for each method to work on.
struct Stage {
    app: String,
    to_update: pb::Key,
    to_revoke: pb::Key,
    to_rotate: pb::Key,
    /// The successor that was made by itself, whose secret is the admin's.
    sealed: String,
    /// With a key, that is to be removed.
    account: Persona,
    to_disable: Persona,
    hook: pb::Webhook,
    to_delete: pb::Webhook,
}

impl Stage {
    async fn set(server: &Server) -> Self {
        let rotating = server.key_with(|request| {
            request.rotation_period = Some(prost_types::Duration { seconds: 24 * 3600, nanos: 0 });
            request.rotation_recipient_kid = server.admin.kid();
        });
        let rotating = rotating.await.key.expect("key");
        server.pass(24 * 3600).await;
        Self {
            sealed: server.get_key(&rotating.key_id).await.rotated_to,
            app: server.app.clone(),
            to_update: server.key().await.key.expect("key"),
            to_revoke: server.key().await.key.expect("key"),
            to_rotate: server.key().await.key.expect("key"),
            account: server.admin.hire_role(server, 1, pb::Role::Editor, &[]).await,
            to_disable: server.admin.hire_role(server, 2, pb::Role::Editor, &[]).await,
            hook: server.hook(NOBODY).await.webhook,
            to_delete: server.hook(NOBODY).await.webhook,
        }
    }

    /// A message that this method says yes to.
    fn message(&self, path: &str) -> Vec<u8> {
        let app = self.app.clone();
        let account = |name: &str| pb::ServiceAccount { name: name.to_owned(), ..Default::default() };
        let known = |persona: &Persona| pb::ServiceAccount {
            service_account_id: persona.account_id.clone(),
            ..account("renamed")
        };
        let service_account_id = self.account.account_id.clone();
        let application = |id: String| pb::Application { application_id: id, name: "new".into(), ..Default::default() };
        match path.rsplit('/').next().expect("a method") {
            "CreateKey" => {
                pb::CreateKeyRequest { application_id: app, name: "new".into(), ..Default::default() }.encode_to_vec()
            }
            "ImportKeys" => {
                let hash = vec![7; 32];
                let wish = pb::KeyToImport { secret_sha256: hash, name: "imported".into(), ..Default::default() };
                pb::ImportKeysRequest { application_id: app, keys: vec![wish], ..Default::default() }.encode_to_vec()
            }
            "ListKeys" => pb::ListKeysRequest { application_id: app, ..Default::default() }.encode_to_vec(),
            "GetKey" => {
                pb::GetKeyRequest { application_id: app, key_id: self.to_update.key_id.clone() }.encode_to_vec()
            }
            "UpdateKey" => {
                let key = pb::Key { name: "renamed".into(), ..self.to_update.clone() };
                pb::UpdateKeyRequest { key: Some(key), ..Default::default() }.encode_to_vec()
            }
            "RotateKey" => {
                let key_id = self.to_rotate.key_id.clone();
                pb::RotateKeyRequest { application_id: app, key_id, ..Default::default() }.encode_to_vec()
            }
            "RevokeKey" => {
                let key_id = self.to_revoke.key_id.clone();
                pb::RevokeKeyRequest { application_id: app, key_id, ..Default::default() }.encode_to_vec()
            }
            "VerifyKey" => {
                let subject = Some(pb::verify_key_request::Subject::Secret("sk_live_no".into()));
                pb::VerifyKeyRequest { subject, ..Default::default() }.encode_to_vec()
            }
            "GetRateLimit" => {
                let subject = Some(pb::get_rate_limit_request::Subject::KeyId(self.to_update.key_id.clone()));
                pb::GetRateLimitRequest { subject, ..Default::default() }.encode_to_vec()
            }
            "GetSealedSecret" => {
                pb::GetSealedSecretRequest { application_id: app, key_id: self.sealed.clone(), wait: 0 }.encode_to_vec()
            }
            "GetKeyUsage" => pb::GetKeyUsageRequest { application_id: app, ..Default::default() }.encode_to_vec(),
            "CreateApplication" => {
                let application = Some(application(String::new()));
                pb::CreateApplicationRequest { application, ..Default::default() }.encode_to_vec()
            }
            "GetApplication" => pb::GetApplicationRequest { application_id: app }.encode_to_vec(),
            "UpdateApplication" => {
                let application = Some(application(app));
                pb::UpdateApplicationRequest { application, ..Default::default() }.encode_to_vec()
            }
            "CreateServiceAccount" => {
                let service_account = Some(account("new"));
                pb::CreateServiceAccountRequest { service_account, ..Default::default() }.encode_to_vec()
            }
            "GetServiceAccount" => pb::GetServiceAccountRequest { service_account_id }.encode_to_vec(),
            "UpdateServiceAccount" => {
                let service_account = Some(known(&self.account));
                pb::UpdateServiceAccountRequest { service_account, ..Default::default() }.encode_to_vec()
            }
            "DisableServiceAccount" => {
                let service_account_id = self.to_disable.account_id.clone();
                pb::DisableServiceAccountRequest { service_account_id, ..Default::default() }.encode_to_vec()
            }
            "AddServiceAccountKey" => {
                let public_key_pem = test_key(3).public().to_pem().to_owned();
                pb::AddServiceAccountKeyRequest { service_account_id, public_key_pem, wait: 0 }.encode_to_vec()
            }
            "RemoveServiceAccountKey" => {
                pb::RemoveServiceAccountKeyRequest { service_account_id, kid: self.account.kid(), wait: 0 }
                    .encode_to_vec()
            }
            "CreateWebhook" | "UpdateWebhook" => {
                let is_update = path.ends_with("UpdateWebhook");
                let webhook_id = if is_update { self.hook.webhook_id.clone() } else { String::new() };
                let webhook =
                    pb::Webhook { application_id: app, webhook_id, url: NOBODY.to_owned(), ..Default::default() };
                // The same fields in the same places.
                pb::CreateWebhookRequest { webhook: Some(webhook), ..Default::default() }.encode_to_vec()
            }
            "DeleteWebhook" => {
                let webhook_id = self.to_delete.webhook_id.clone();
                pb::DeleteWebhookRequest { application_id: app, webhook_id, ..Default::default() }.encode_to_vec()
            }
            "GetWebhook" | "TestWebhook" | "ListWebhookDeliveries" | "RotateWebhookSecret" => {
                pb::GetWebhookRequest { application_id: app, webhook_id: self.hook.webhook_id.clone() }.encode_to_vec()
            }
            "ListWebhooks" => pb::ListWebhooksRequest { application_id: app, ..Default::default() }.encode_to_vec(),
            "ReportLeakedKey" => {
                pb::ReportLeakedKeyRequest { secret: "sk_live_no".into(), ..Default::default() }.encode_to_vec()
            }
            "Check" => crate::envoy_check::asks(&[], &[("x-api-key", "sk_live_no")]).encode_to_vec(),
            // All of them, from the first page, or from the head.
            "ListApplications" | "ListServiceAccounts" | "ListAuditEvents" | "WatchRevocations" => Vec::new(),
            other => panic!("{other} is new: give it a message"),
        }
    }
}

fn signed_by(server: &Server, persona: &Persona, path: &str, message: &[u8], ahead: i64, nonce: &str) -> Wire {
    let headers = Headers::sign(persona, path, message, server.now().seconds() + ahead, nonce);
    Wire::new(path.trim_start_matches("/portcullis.v1."), message, &headers)
}

async fn refused(client: &RawClient, wire: &Wire) -> (Code, String) {
    refusal(client.passes(wire).await)
}

fn is(expected: (Code, &str)) -> (Code, String) {
    (expected.0, expected.1.to_owned())
}

#[tokio::test]
async fn no_method_takes_the_same_signature_twice_nor_after_a_restart() {
    let server = Server::start().await;
    let stage = Stage::set(&server).await;
    let client = RawClient::connect(&server).await;
    let mut sent = Vec::new();
    for method in METHODS {
        let wire = signed_by(&server, &server.admin, method.path, &stage.message(method.path), 0, &nonce());
        client.passes(&wire).await.unwrap_or_else(|status| panic!("{}: {status:?}", method.path));
        let before = server.rows().await;
        assert_eq!(refused(&client, &wire).await, is(REUSED), "{}", method.path);
        assert_eq!(server.rows().await, before, "{}: a replay writes nothing", method.path);
        sent.push((method, wire));
    }
    assert!(sent.iter().filter(|(method, _)| method.is_mutation()).count() >= 10, "the table is not empty");

    // In the same second: the clock stands still.
    let server = server.restart().await;
    let (client, before) = (RawClient::connect(&server).await, server.rows().await);
    for (method, wire) in &sent {
        // Where no database is asked, what is older than the memory is refused for its age.
        let expected = if method.nonce_in_memory { OUT_OF_WINDOW } else { REUSED };
        assert_eq!(refused(&client, wire).await, is(expected), "{}", method.path);
    }
    assert_eq!(server.rows().await, before);
    must_pass(&client, &good_create(&server)).await;
}

#[tokio::test]
async fn a_verify_that_is_dated_ahead_does_not_outlive_a_restart() {
    let server = Server::start().await;
    let stage = Stage::set(&server).await;
    let client = RawClient::connect(&server).await;
    let path = "/portcullis.v1.KeyService/VerifyKey";
    let dated = |ahead| signed_by(&server, &server.admin, path, &stage.message(path), ahead, &nonce());
    let sent = [dated(0), dated(2)];
    for wire in &sent {
        client.passes(wire).await.expect("good once");
    }
    assert_eq!(refused(&client, &dated(3)).await, is(OUT_OF_WINDOW), "its nonce is kept in memory only");
    let server = server.restart().await;
    let client = RawClient::connect(&server).await;
    for wire in &sent {
        assert_eq!(refused(&client, wire).await, is(OUT_OF_WINDOW));
    }
}

#[tokio::test]
async fn a_timestamp_is_good_for_five_minutes_to_either_side() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    let message = crate::harness::create_message(&server);
    let dated =
        |ahead| signed_by(&server, &server.admin, "/portcullis.v1.KeyService/CreateKey", &message, ahead, &nonce());
    for ahead in [-300, -299, 299, 300] {
        must_pass(&client, &dated(ahead)).await;
    }
    let before = server.rows().await;
    for ahead in [-301, 301, -86_400, 86_400] {
        let status = client.send(&dated(ahead)).await.expect("answer").result::<pb::CreateKeyResponse>().unwrap_err();
        let details = tonic_types::StatusExt::get_error_details(&status);
        let told = &details.error_info().expect("info").metadata["server_time"];
        assert!(told.starts_with("2026-11-21T00:00:0"), "{told}");
        assert_eq!((status.code(), crate::harness::reason(&status)), is(OUT_OF_WINDOW), "{ahead}");
    }
    assert_eq!(server.rows().await, before);
}

#[tokio::test]
async fn a_call_dated_ahead_is_refused_as_long_as_its_date_is_good_and_after() {
    let server = Server::start().await;
    let message = crate::harness::create_message(&server);
    let path = "/portcullis.v1.KeyService/CreateKey";
    let wire = signed_by(&server, &server.admin, path, &message, 300, &nonce());
    must_pass(&RawClient::connect(&server).await, &wire).await;
    // It could be used for 600 seconds after it was: its nonce must not be forgotten before.
    let ages = [(299, REUSED), (1, REUSED), (290, REUSED), (10, REUSED), (1, OUT_OF_WINDOW), (100, OUT_OF_WINDOW)];
    for (seconds, expected) in ages {
        server.advance(Duration::from_secs(seconds)).await;
        server.store().forget_nonces(server.running().replica().now()).await.expect("housekeeping");
        let client = RawClient::connect(&server).await;
        assert_eq!(raw_refusal(&client, &wire).await, is(expected), "{seconds} s later");
    }
    server.advance(Duration::from_hours(1)).await;
    server.store().forget_nonces(server.running().replica().now()).await.expect("housekeeping");
    assert_eq!(server.rows().await.nonces, 1, "housekeeping does forget it in the end, and knows up to when");
}

#[tokio::test]
async fn an_equal_nonce_under_another_kid_is_another_nonce() {
    let server = Server::start().await;
    let other = server.admin.hire_role(&server, 1, pb::Role::Editor, &["*"]).await;
    let client = RawClient::connect(&server).await;
    let (nonce, path) = (nonce(), "/portcullis.v1.KeyService/CreateKey");
    let message = crate::harness::create_message(&server);
    for persona in [&server.admin, &other] {
        must_pass(&client, &signed_by(&server, persona, path, &message, 0, &nonce)).await;
    }
    // Under the same kid it is spent, whatever else is signed with it.
    let get = message_bytes(&pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() });
    let wire = signed_by(&server, &other, "/portcullis.v1.KeyService/ListKeys", &get, 1, &nonce);
    assert_eq!(refused(&client, &wire).await, is(REUSED));
}

#[tokio::test]
async fn of_two_equal_calls_at_once_one_passes() {
    let server = Server::start().await;
    let client = RawClient::connect(&server).await;
    for _ in 0..5 {
        let wire = good_create(&server);
        let before = server.rows().await;
        let answers = futures_util::future::join_all((0..8).map(|_| client.passes(&wire))).await;
        let (passed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(passed.len(), 1);
        for answer in refused {
            assert_eq!(refusal(answer), is(REUSED));
        }
        assert_eq!(server.rows().await.keys, before.keys + 1);
    }
}
