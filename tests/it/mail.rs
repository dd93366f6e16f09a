//! The same notices by mail, through a real mail server.

use std::{collections::HashSet, time::Duration};

use portcullis::{notify::mail, pb};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use crate::harness::{
    Rows, Server, Setup, mask,
    receiver::{Receiver, Reply},
    smtp::MailServer,
};

/// A server whose application is written about to these addresses.
async fn server(settings: mail::Settings, addresses: &[&str]) -> Server {
    let mut setup = Setup::default();
    setup.notify.mail = Some(settings);
    let server = Server::start_with(setup).await;
    let application = pb::Application {
        application_id: server.app.clone(),
        notify_emails: addresses.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let request =
        pb::UpdateApplicationRequest { application: Some(application), update_mask: mask(&["notify_emails"]) };
    let _: pb::UpdateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/UpdateApplication", &request).await.expect("update");
    server
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Waits until the deliveries are in these states, oldest first.
async fn until_states(server: &Server, wanted: &[&str]) {
    let rows = Rows::of(&server).await;
    for _ in 0..500 {
        if rows.texts("SELECT state FROM delivery ORDER BY seq").await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", rows.texts("SELECT state || ' ' || last_error FROM delivery ORDER BY seq").await);
}

async fn until_attempts(server: &Server, attempts: i64) {
    until(server, "SELECT max(attempts) FROM delivery", attempts).await;
}

/// Waits until so many were tried: what came of it is written after it happened.
async fn until_tried(server: &Server, mails: i64) {
    until(server, "SELECT count(*) FROM delivery WHERE attempts > 0", mails).await;
}

async fn until(server: &Server, sql: &str, number: i64) {
    let rows = Rows::of(&server).await;
    for _ in 0..500 {
        if rows.number(sql).await == number {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never {number}: {sql}");
}

#[tokio::test]
async fn what_happens_to_a_key_is_written_to_every_address_of_its_application() {
    let Some(mut mails) = MailServer::start(&["none", "0"]).await else { return };
    let server = server(mails.settings(), &["ops@example.org", "o'brien+keys@example.org"]).await;
    let made = server.key_with(|request| request.name = "Käse \"☃\"".to_owned()).await;
    let key = made.key.expect("key");
    let mut both = [mails.next().await, mails.next().await];
    both.sort_by_key(|mail| mail["recipients"].to_string());
    assert_eq!(both[0]["recipients"], serde_json::json!(["o'brien+keys@example.org"]));
    assert_eq!(both[1]["recipients"], serde_json::json!(["ops@example.org"]));
    let mut ids = HashSet::new();
    for mail in &both {
        assert_eq!(text(mail, "sender"), "portcullis@example.com");
        assert_eq!(text(mail, "subject"), format!("[Portcullis] key.created: Käse \"☃\" ({})", key.prefix));
        assert!(text(mail, "message_id").starts_with("<msg_") && ids.insert(text(mail, "message_id").to_owned()));
        assert!(text(mail, "date").starts_with("Sat, 21 Nov 2026 00:00:0"), "{}", text(mail, "date"));
        let body = text(mail, "text");
        assert!(body.contains(&format!("key.key_id: {}", key.key_id)) && body.contains("A key was created"), "{body}");
        assert!(!body.contains(&made.secret));
    }
    server.revoke(&key).await;
    for _ in 0..2 {
        let mail = mails.next().await;
        assert!(text(&mail, "subject").contains("key.revoked") && ids.insert(text(&mail, "message_id").to_owned()));
    }
    mails.nothing().await;
    until_states(&server, &["delivered"; 4]).await;
}

#[tokio::test]
async fn a_server_that_vanishes_in_mid_mail_gets_the_same_mail_again_with_the_same_id() {
    let Some(mut mails) = MailServer::start(&["vanish-in-data", "2"]).await else { return };
    let server = server(mails.settings(), &["ops@example.org"]).await;
    let key = server.key().await.key.expect("key");
    server.revoke(&key).await;
    for attempts in 1..=2 {
        assert_eq!(text(&mails.next().await, "happened"), "vanished in the mail");
        until_attempts(&server, attempts).await;
        mails.nothing().await;
        server.advance(Duration::from_secs(340)).await;
    }
    let (first, second) = (mails.next().await, mails.next().await);
    assert!(text(&first, "subject").contains("key.created") && text(&second, "subject").contains("key.revoked"));
    mails.nothing().await;
    until_states(&server, &["delivered", "delivered"]).await;

    // Now it has the mail, and nobody hears that it has.
    let Some(mut mails) = MailServer::start(&["vanish-before-ok", "1"]).await else { return };
    let mut server = server;
    server.setup.notify.mail = Some(mails.settings());
    let server = server.restart().await;
    server.key().await;
    let first = mails.next().await;
    assert_eq!(text(&mails.next().await, "happened"), "vanished before the answer");
    until_tried(&server, 3).await;
    mails.nothing().await;
    server.advance(Duration::from_secs(6)).await;
    let again = mails.next().await;
    assert_eq!(again, first, "to the letter: its id, its date, its text");
    until_states(&server, &["delivered"; 3]).await;
}

#[tokio::test]
async fn a_mailbox_that_does_not_exist_is_given_up_and_a_busy_one_is_tried_again() {
    let Some(mut mails) = MailServer::start(&["refuse-recipient", "1"]).await else { return };
    let server = server(mails.settings(), &["nobody@example.org"]).await;
    server.key().await;
    assert_eq!(text(&mails.next().await, "happened"), "refused");
    until_states(&server, &["failed"]).await;
    server.advance(Duration::from_hours(1)).await;
    mails.nothing().await;

    let Some(mut mails) = MailServer::start(&["busy", "1"]).await else { return };
    let mut server = server;
    server.setup.notify.mail = Some(mails.settings());
    let server = server.restart().await;
    server.key().await;
    assert_eq!(text(&mails.next().await, "happened"), "busy");
    until_tried(&server, 2).await;
    mails.nothing().await;
    server.advance(Duration::from_secs(6)).await;
    assert_eq!(text(&mails.next().await, "happened"), "mail");
    until_states(&server, &["failed", "delivered"]).await;
}

#[tokio::test]
async fn a_log_in_goes_over_tls_to_whom_the_operator_believes() {
    let folder = tempfile::tempdir().expect("folder");
    let key = KeyPair::generate().expect("key");
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = certificate.self_signed(&key).expect("certificate").pem();
    let [pem, private] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&pem, &certificate).expect("certificate");
    std::fs::write(&private, key.serialize_pem()).expect("key");
    let login = ["none", "0", &pem, &private, "me@example.com", "hunter2 ☃"];
    let Some(mut mails) = MailServer::start(&login).await else { return };
    let settings = |password: &str, roots| mail::Settings {
        server: format!("smtps://me%40example.com@127.0.0.1:{}", mails.port).parse().expect("url"),
        password: Some(password.to_owned().into()),
        roots,
        ..mails.settings()
    };
    let roots = Some(certificate.into_bytes());
    let all = [settings("hunter2 ☃", roots.clone()), settings("wrong", roots), settings("hunter2 ☃", None)];
    let [right, wrong, unknown] = all;
    assert!(!format!("{right:?}").contains("hunter2"));
    let mut server = server(unknown, &["ops@example.org"]).await;
    server.key().await;
    until_attempts(&server, 1).await;
    server.setup.notify.mail = Some(wrong);
    let mut server = server.restart().await;
    server.advance(Duration::from_secs(6)).await;
    until_attempts(&server, 2).await;
    mails.nothing().await;
    let rows = Rows::of(&server).await;
    let error = rows.texts("SELECT last_error FROM delivery").await.concat();
    assert!(!error.contains("hunter2") && error.contains("535"), "{error}");
    server.setup.notify.mail = Some(right);
    let server = server.restart().await;
    server.advance(Duration::from_secs(340)).await;
    let mail = mails.next().await;
    assert_eq!((text(&mail, "happened"), text(&mail, "user")), ("mail", "me@example.com"));
}

#[tokio::test]
async fn without_a_mail_server_nothing_waits_for_one() {
    let server = Server::start().await;
    let application = pb::Application {
        application_id: server.app.clone(),
        notify_emails: vec!["ops@example.org".to_owned()],
        ..Default::default()
    };
    let request = pb::UpdateApplicationRequest { application: Some(application), ..Default::default() };
    let _: pb::UpdateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/UpdateApplication", &request).await.expect("update");
    server.key().await;
    let rows = Rows::of(&server).await;
    assert_eq!(rows.number("SELECT count(*) FROM delivery").await, 0);
}

#[tokio::test]
async fn that_a_webhook_was_disabled_is_written_too() {
    let Some(mut mails) = MailServer::start(&["none", "0"]).await else { return };
    let server = server(mails.settings(), &["ops@example.org"]).await;
    let gone = Receiver::start().await;
    gone.replies(Reply::Status(410));
    let hook = server.hook(&gone.url).await;
    server.key().await;
    let both = [mails.next().await, mails.next().await];
    let told = both.iter().find(|mail| text(mail, "subject").contains("webhook.disabled")).expect("told of it");
    assert_eq!(text(told, "subject"), "[Portcullis] webhook.disabled: 127.0.0.1");
    assert!(text(told, "text").contains(&hook.webhook.webhook_id) && text(told, "text").contains("reason: gone"));
}
