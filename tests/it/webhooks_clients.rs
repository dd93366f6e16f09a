//! A receiver that is not ours, against the real program.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use crate::{
    clients::source,
    harness::{
        dev::{Dev, field},
        program::{Checkout, tool},
    },
};

/// A process that ends with its test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `dev` makes its own key for secrets, and everything else is as a user would do it.
#[test]
fn a_python_receiver_verifies_every_message_with_its_own_library() {
    let Some(python) = tool("PORTCULLIS_TEST_PYTHON") else { return };
    let checkout = Checkout::new();
    let mut python = Command::new(python)
        .arg(source("tests/clients/webhook_receiver.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start");
    let stdin = python.stdin.take();
    let mut child = Ending(python);
    let mut lines = BufReader::new(child.0.stdout.take().expect("stdout")).lines();
    let mut said = || lines.next().expect("a line").expect("UTF-8");
    let url = format!("http://127.0.0.1:{}/", said());
    let (allow, http) = (("PORTCULLIS_WEBHOOK_ALLOW", "127.0.0.1"), ("PORTCULLIS_WEBHOOK_HTTP", "true"));
    let dev = Dev::start_with(&checkout, &[allow, http]);
    let key = checkout.file("portcullis-data/secrets.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).expect("a key").permissions());
    assert_eq!(mode & 0o777, 0o600);

    let app = dev.app.clone();
    let request = format!(r#"{{"webhook": {{"application_id": "{app}", "url": "{url}"}}}}"#);
    let made = dev.call(&checkout, "WebhookService/CreateWebhook", &request);
    let (id, secret) = (field(&made, "webhook_id"), field(&made, "secret"));
    stdin.expect("stdin").write_all(format!("{secret}\n").as_bytes()).expect("written");
    let test = format!(r#"{{"application_id": "{app}", "webhook_id": "{id}"}}"#);
    let tested = dev.call(&checkout, "WebhookService/TestWebhook", &test);
    assert!(tested.contains("\"delivered\": true") && tested.contains("\"status\": 204"), "{tested}");
    assert_eq!(said(), "verified webhook.test");
    let made = dev.call(&checkout, "KeyService/CreateKey", &format!(r#"{{"application_id": "{app}", "name": "k"}}"#));
    assert_eq!(said(), "verified key.created");
    let revoke = format!(r#"{{"application_id": "{app}", "key_id": "{}"}}"#, field(&made, "key_id"));
    dev.call(&checkout, "WebhookService/RotateWebhookSecret", &test);
    dev.call(&checkout, "KeyService/RevokeKey", &revoke);
    assert_eq!(said(), "verified key.revoked", "by the secret from before the rotation");
}
