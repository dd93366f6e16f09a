//! Clients that are not ours, against the real program: they know what docs/signing.md says and
//! what reflection shows.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use portcullis::auth::METHODS;

use crate::harness::{
    dev::{Dev, field},
    program::{Checkout, Ended, run, tool},
};

/// A shell command that signs `$REQUEST` and calls `$METHOD` with it, twice if `$AGAIN`.
/// Nothing but the server's reflection tells grpcurl what a request looks like.
const SIGN_AND_CALL: &str = r#"
flags=$("$PORTCULLIS" sign "$METHOD" -d "$REQUEST") || exit 2
for attempt in 1 $AGAIN; do
  "$GRPCURL" $flags -d "$REQUEST" -plaintext "$ADDRESS" "portcullis.v1.$METHOD"
done"#;

struct Grpcurl<'a> {
    checkout: &'a Checkout,
    dev: &'a Dev,
    program: &'a Path,
}

impl Grpcurl<'_> {
    fn shell(&self, method: &str, request: &str) -> Command {
        let mut shell = self.checkout.command("sh");
        shell.args(["-c", SIGN_AND_CALL]).env("METHOD", method).env("REQUEST", request);
        shell.env("GRPCURL", self.program).env("PORTCULLIS", self.checkout.file("target/release/portcullis"));
        self.dev.caller(self.checkout, shell.env("ADDRESS", &self.dev.address));
        shell
    }

    fn call(&self, method: &str, request: &str) -> Ended {
        run(&mut self.shell(method, request))
    }
}

/// The server checks the signature over the bytes that came, and `sign` made it over the
/// bytes that it encoded: a call that passes shows that the two are the same.
#[test]
fn grpcurl_passes_with_the_flags_that_sign_prints_for_every_method() {
    let Some(program) = tool("PORTCULLIS_TEST_GRPCURL") else { return };
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    dev.takes_signed_verify(&checkout);
    let grpcurl = Grpcurl { checkout: &checkout, dev: &dev, program: &program };
    let openssl = checkout.command("openssl").args(["genrsa", "2048"]).output().expect("openssl");
    let key = checkout.file("key.pem");
    std::fs::write(&key, &openssl.stdout).expect("write");
    let public = run(checkout.command("openssl").args(["rsa", "-pubout", "-in"]).arg(&key)).good();

    let mut called = Vec::new();
    let mut known: Vec<(&str, String)> = vec![("APP", dev.app.clone()), ("PEM", public.replace('\n', "\\n"))];
    for (method, request, learnt) in REQUESTS {
        let request = known.iter().fold((*request).to_owned(), |text, (name, value)| text.replace(name, value));
        let answer = grpcurl.call(method, &request).good();
        for (name, value) in *learnt {
            known.push((name, field(&answer, value)));
        }
        called.push(format!("/portcullis.v1.{method}"));
    }
    // Nothing is sealed before a day is over: what is refused for that has passed the gate.
    let sealed = ("KeyService/GetSealedSecret", r#"{"application_id": "APP", "key_id": "THEKEY"}"#);
    let request = known.iter().fold(sealed.1.to_owned(), |text, (name, value)| text.replace(name, value));
    let refused = grpcurl.call(sealed.0, &request);
    assert!(refused.err.contains("SEALED_SECRET_NOT_FOUND"), "{}", refused.err);
    called.push(format!("/portcullis.v1.{}", sealed.0));
    let left_out: Vec<_> =
        METHODS.iter().map(|method| method.path).filter(|path| !called.iter().any(|c| c == path)).collect();
    assert_eq!(
        left_out,
        [crate::sweep::CHECK, "/portcullis.v1.KeyService/WatchRevocations"],
        "the one is not ours, and no reflection tells of it; the other streams: see below"
    );
}

/// What of an answer later requests name: by which word, and the field that holds it.
type Learnt = &'static [(&'static str, &'static str)];

/// JSON of every kind that a request can hold; capitals stand for what earlier answers said.
#[rustfmt::skip]
const REQUESTS: &[(&str, &str, Learnt)] = &[
    ("ApplicationService/CreateApplication", r#"{"request_id": "8a0b5a0e-5c2f-4d4b-8f6e-0d1f2a3b4c5d", "application": {"name": "Käse \"☃\" 😀", "keyPrefix": "acme"}}"#, &[("ANOTHER", "applicationId")]),
    ("ApplicationService/GetApplication", r#"{"application_id": "ANOTHER"}"#, &[]),
    ("ApplicationService/ListApplications", r#"{"name_prefix": "K", "page_size": 1}"#, &[]),
    ("ApplicationService/ListApplications", "{}", &[]),
    ("ApplicationService/UpdateApplication", r#"{"application": {"application_id": "ANOTHER", "name": "Brot"}, "update_mask": {"paths": ["name", "key_prefix"]}}"#, &[]),
    ("KeyService/ImportKeys", r#"{"application_id": "APP", "request_id": "1a0b5a0e-5c2f-4d4b-8f6e-0d1f2a3b4c5e", "keys": [{"secret_sha256": "qxPccIYK9wgUlLxj7vSXqAXSeoBFsp5866QItpoyfq0=", "name": "moved", "permissions": ["tasks:read"], "labels": [{"key": "team", "value": "ä"}]}]}"#, &[]),
    ("ServiceAccountService/CreateServiceAccount", r#"{"service_account": {"name": "ci", "roles": ["ROLE_EDITOR", 5], "application_ids": ["APP", "ANOTHER"], "grantable_permissions": ["tasks:*"], "all_applications": false}, "wait": "REVOKE_WAIT_REPLICAS"}"#, &[("ACCOUNT", "serviceAccountId")]),
    ("ServiceAccountService/GetServiceAccount", r#"{"service_account_id": "ACCOUNT"}"#, &[]),
    ("ServiceAccountService/ListServiceAccounts", "{}", &[]),
    ("ServiceAccountService/AddServiceAccountKey", r#"{"service_account_id": "ACCOUNT", "public_key_pem": "PEM"}"#, &[("KID", "kid")]),
    ("ServiceAccountService/UpdateServiceAccount", r#"{"service_account": {"service_account_id": "ACCOUNT", "grantable_permissions": []}, "update_mask": {"paths": ["grantable_permissions"]}}"#, &[]),
    ("ServiceAccountService/RemoveServiceAccountKey", r#"{"service_account_id": "ACCOUNT", "kid": "KID"}"#, &[]),
    ("ServiceAccountService/DisableServiceAccount", r#"{"service_account_id": "ACCOUNT", "etag": ""}"#, &[]),
    ("WebhookService/CreateWebhook", r#"{"webhook": {"application_id": "APP", "url": "https://hooks.invalid/ü?a=b", "event_types": ["key.revoked", "key.leaked"], "description": "für \"uns\"", "disabled": true}, "request_id": "8a0b5a0e-5c2f-4d4b-8f6e-0d1f2a3b4c5e"}"#, &[("HOOK", "webhookId")]),
    ("WebhookService/GetWebhook", r#"{"application_id": "APP", "webhook_id": "HOOK"}"#, &[]),
    ("WebhookService/ListWebhooks", r#"{"application_id": "APP", "page_size": 1}"#, &[]),
    ("WebhookService/UpdateWebhook", r#"{"webhook": {"application_id": "APP", "webhook_id": "HOOK", "event_types": []}, "update_mask": {"paths": ["event_types", "description"]}}"#, &[]),
    ("WebhookService/TestWebhook", r#"{"application_id": "APP", "webhook_id": "HOOK"}"#, &[]),
    ("WebhookService/RotateWebhookSecret", r#"{"application_id": "APP", "webhook_id": "HOOK", "overlap": "3600s", "etag": ""}"#, &[]),
    ("WebhookService/ListWebhookDeliveries", r#"{"application_id": "APP", "webhook_id": "HOOK", "state": "DELIVERY_STATE_PENDING", "page_size": 7}"#, &[]),
    ("WebhookService/DeleteWebhook", r#"{"application_id": "APP", "webhook_id": "HOOK"}"#, &[]),
    ("KeyService/CreateKey", r#"{"wait": "REVOKE_WAIT_NONE", "labels": [{"key": "team", "value": ""}, {"value": "ü", "key": "x"}], "ttl": "3600.5s", "permissions": ["tasks:read", "*:read"], "name": "k", "applicationId": "APP", "type": "KEY_TYPE_SECRET", "environment": 2, "description": "a\nb", "request_id": null}"#, &[("THEKEY", "keyId"), ("SECRET", "secret")]),
    ("KeyService/CreateKey", r#"{"application_id": "APP", "name": "k", "expire_time": "2099-01-31T14:00:00.000000001+02:00"}"#, &[]),
    ("KeyService/GetKey", r#"{"application_id": "APP", "key_id": "THEKEY"}"#, &[]),
    ("KeyService/ListKeys", r#"{"application_id": "APP", "show_revoked": true, "environment": "KEY_ENVIRONMENT_TEST", "page_size": 1000}"#, &[]),
    ("KeyService/VerifyKey", r#"{"secret": "SECRET", "application_id": "APP", "environment": "KEY_ENVIRONMENT_TEST", "required_permissions": ["tasks:read"]}"#, &[]),
    ("KeyService/VerifyKey", r#"{"dry_run": true, "key_id": "THEKEY", "client_ip": "2001:db8::1", "referrer": "https://example.com/ü", "resource": "ü", "cost": "1000000000"}"#, &[]),
    ("KeyService/GetRateLimit", r#"{"secret": "SECRET", "application_id": "APP"}"#, &[]),
    ("KeyService/GetRateLimit", r#"{"key_id": "THEKEY"}"#, &[]),
    ("KeyService/GetKeyUsage", r#"{"application_id": "APP", "key_id": "THEKEY", "step": "USAGE_STEP_DAY"}"#, &[]),
    ("KeyService/UpdateKey", r#"{"key": {"application_id": "APP", "key_id": "THEKEY", "ip_allowlist": ["10.0.0.0/8", "::1"], "resource_allowlist": ["ü*"], "rate_limits": [{"window": "60s", "name": "minute", "limit": 5}], "quotas": [{"period": 2, "limit": "7"}]}}"#, &[]),
    ("KeyService/UpdateKey", r#"{"key": {"application_id": "APP", "key_id": "THEKEY", "disabled": true, "revision": "9007199254740993"}, "update_mask": {"paths": ["disabled", "expire_time"]}}"#, &[]),
    ("KeyService/RotateKey", r#"{"application_id": "APP", "key_id": "THEKEY", "overlap": "3600.25s", "ttl": "7200s", "request_id": "8a0b5a0e-5c2f-4d4b-8f6e-0d1f2a3b4c5f", "wait": 2}"#, &[]),
    ("KeyService/ReportLeakedKey", r#"{"secret": "SECRET", "source": "für alle\n zu \"sehen\"", "wait": "REVOKE_WAIT_REPLICAS"}"#, &[]),
    ("KeyService/RevokeKey", r#"{"application_id": "APP", "key_id": "THEKEY", "reason": "REVOKE_REASON_LEAKED", "comment": "seen in a log"}"#, &[]),
    ("AuditService/ListAuditEvents", r#"{"application_id": "APP", "resource_id": "THEKEY", "method": "KeyService/RevokeKey", "outcome": "OK", "start_time": "2020-01-31T14:00:00+02:00", "after_seq": "1", "order": 2}"#, &[]),
];

#[test]
fn grpcurl_watches_with_the_flags_that_sign_prints() {
    let Some(program) = tool("PORTCULLIS_TEST_GRPCURL") else { return };
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    let grpcurl = Grpcurl { checkout: &checkout, dev: &dev, program: &program };
    let mut shell = grpcurl.shell("KeyService/WatchRevocations", &format!(r#"{{"application_ids": ["{}"]}}"#, dev.app));
    shell.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = shell.spawn().expect("start");
    let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let bookmark = lines.map_while(Result::ok).find(|line| line.contains("\"bookmark\""));
    // The shell and its grpcurl.
    Command::new("kill").args(["--", &format!("-{}", child.id())]).status().expect("kill");
    child.wait().expect("end");
    assert!(bookmark.is_some());
}

#[test]
fn the_same_flags_a_second_time_are_refused_as_a_replay() {
    let Some(program) = tool("PORTCULLIS_TEST_GRPCURL") else { return };
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    dev.takes_signed_verify(&checkout);
    let grpcurl = Grpcurl { checkout: &checkout, dev: &dev, program: &program };
    for (method, request) in [
        ("KeyService/CreateKey", format!(r#"{{"application_id": "{}", "name": "once"}}"#, dev.app)),
        ("KeyService/ListKeys", format!(r#"{{"application_id": "{}"}}"#, dev.app)),
        ("KeyService/VerifyKey", r#"{"secret": "not a key"}"#.to_owned()),
    ] {
        let replayed = run(grpcurl.shell(method, &request).env("AGAIN", "2"));
        // UNAUTHENTICATED is 16, and grpcurl adds 64. Its details are read by reflection too.
        assert_eq!(replayed.code, Some(80), "{method}: {}", replayed.err);
        assert!(replayed.err.contains("\"reason\": \"NONCE_REUSED\""), "{method}: {}", replayed.err);
    }
    let keys = dev.call(&checkout, "KeyService/ListKeys", &format!(r#"{{"application_id": "{}"}}"#, dev.app));
    assert_eq!(keys.matches("\"name\": \"once\"").count(), 1, "{keys}");
}

/// `tests/clients/sign_client.py` is written from docs/signing.md alone.
#[test]
fn a_python_client_that_was_written_from_the_document_passes() {
    let Some(python) = tool("PORTCULLIS_TEST_PYTHON") else { return };
    let checkout = Checkout::new();
    let dev = Dev::start(&checkout);
    dev.takes_signed_verify(&checkout);
    let mut client = checkout.command(python.to_str().expect("UTF-8"));
    client.arg(source("tests/clients/sign_client.py"));
    client.args(["--proto", &source("proto"), "--application", &dev.app]);
    let done = run(dev.caller(&checkout, &mut client));
    let told: Vec<_> = done.good().lines().map(str::to_owned).collect();
    assert_eq!(
        told,
        [
            "created",
            "verified by token: VERDICT_VALID",
            "verified by signature: VERDICT_VALID",
            "revoked",
            "verified by token: VERDICT_REVOKED",
            "watched: REVOCATION_CAUSE_REVOKED",
            "replay: UNAUTHENTICATED NONCE_REUSED",
            "other bytes: UNAUTHENTICATED SIGNATURE_INVALID",
            "milliseconds: UNAUTHENTICATED TIMESTAMP_OUT_OF_WINDOW",
            "mutation by token: UNAUTHENTICATED SIGNATURE_MISSING",
        ]
    );
}

/// A file of this repository.
pub(crate) fn source(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}
