//! What is written in the audit log: each change, and each that was refused behind its
//! signature, once, with who, what and from where.

use portcullis::{clock::Clock, entropy::Entropy, pb, store::Store};
use portcullis_migrations::{Migrator, MigratorTrait as _};
use prost::Message;
use tonic::Code;

use crate::harness::{Data, Headers, Persona, Rows, Server, exchange, mask, nonce, path, refusal, test_key};

/// Sends a signed call that calls itself `the-request`, and returns the one event that it made.
async fn event_of(server: &Server, by: &Persona, method: &str, message: Vec<u8>, code: Code) -> pb::AuditEvent {
    let before = server.last_event().await.seq;
    let headers = Headers::sign(by, &path(method), &message, server.now().seconds(), &nonce());
    let answer = exchange(server, &path(method), message, &headers.set("x-request-id", "the-request")).await;
    assert_eq!(answer.err().map_or(Code::Ok, |status| status.code()), code, "{method}");
    let event = server.last_event().await;
    assert_eq!(event.seq, before + 1, "{method}: one event");
    assert_eq!((&*event.method, &*event.request_id), (&path(method)[1..], "the-request"));
    assert_eq!((event.service_account_id.as_ref(), event.kid), (Some(&by.account_id), Some(by.kid())));
    let peer: std::net::SocketAddr = event.peer.parse().expect("an address and a port");
    assert!(peer.ip().is_loopback(), "{peer}");
    let time = event.time.expect("a time");
    assert_eq!((time.seconds, time.nanos), (server.now().seconds(), 0), "{method}");
    pb::AuditEvent { kid: None, ..event }
}

/// The field in the only row of `before` or `after`.
fn in_row(rows: Option<&String>, field: &str) -> serde_json::Value {
    let rows: Vec<serde_json::Value> = serde_json::from_str(rows.expect("rows")).expect("JSON");
    assert_eq!(rows.len(), 1);
    // An account is its row and its keys.
    rows[0].get(0).unwrap_or(&rows[0])[field].clone()
}

#[tokio::test]
async fn every_mutation_is_one_event_that_says_what_it_changed() {
    let server = Server::start().await;
    let (app, admin) = (&server.app, &server.admin);
    let done = async |method: &str, message: Vec<u8>| {
        let event = event_of(&server, admin, method, message, Code::Ok).await;
        assert_eq!((&*event.outcome, event.revision), ("OK", Some(server.revision().await)), "{method}");
        event
    };
    let is = |event: &pb::AuditEvent, application_id: Option<&str>, resource: &str| {
        assert_eq!((event.application_id.as_deref(), event.resource_id.as_deref()), (application_id, Some(resource)));
    };

    let create = pb::CreateKeyRequest { application_id: app.clone(), name: "first".into(), ..Default::default() };
    let created = done("KeyService/CreateKey", create.encode_to_vec()).await;
    let key = created.resource_id.clone().expect("the key");
    is(&created, Some(app), &key);
    assert_eq!((created.before, in_row(created.after.as_ref(), "name")), (None, "first".into()));

    let wish =
        pb::Key { application_id: app.clone(), key_id: key.clone(), name: "second".into(), ..Default::default() };
    let update = pb::UpdateKeyRequest { key: Some(wish), update_mask: mask(&["name"]), wait: 0 };
    let updated = done("KeyService/UpdateKey", update.encode_to_vec()).await;
    is(&updated, Some(app), &key);
    let names = [&updated.before, &updated.after].map(|rows| in_row(rows.as_ref(), "name"));
    assert_eq!(names, ["first", "second"]);

    let rotate = pb::RotateKeyRequest { application_id: app.clone(), key_id: key.clone(), ..Default::default() };
    let rotated = done("KeyService/RotateKey", rotate.encode_to_vec()).await;
    is(&rotated, Some(app), &key);
    let rows = rotated.after.expect("both keys").matches("\"key_id\":").count();
    assert_eq!((rows, in_row(rotated.before.as_ref(), "key_id")), (2, key.clone().into()));

    let revoke = pb::RevokeKeyRequest { application_id: app.clone(), key_id: key.clone(), ..Default::default() };
    let revoked = done("KeyService/RevokeKey", revoke.encode_to_vec()).await;
    is(&revoked, Some(app), &key);
    let times = [&revoked.before, &revoked.after].map(|rows| in_row(rows.as_ref(), "revoke_time").is_null());
    assert_eq!(times, [true, false]);
    let again = done("KeyService/RevokeKey", revoke.encode_to_vec()).await;
    is(&again, Some(app), &key);
    assert_eq!((again.before, again.after), (None, None), "all was so already");

    let wish = pb::Application { name: "other".into(), ..Default::default() };
    let create = pb::CreateApplicationRequest { application: Some(wish), ..Default::default() };
    let made = done("ApplicationService/CreateApplication", create.encode_to_vec()).await;
    let other = made.application_id.clone().expect("the application");
    is(&made, Some(&other), &other);
    let wish = pb::Application { application_id: other.clone(), name: "another".into(), ..Default::default() };
    let update = pb::UpdateApplicationRequest { application: Some(wish), ..Default::default() };
    let updated = done("ApplicationService/UpdateApplication", update.encode_to_vec()).await;
    is(&updated, Some(&other), &other);
    assert_eq!(in_row(updated.after.as_ref(), "name"), "another");
    accounts(&server).await;
    assert_eq!(Rows::of(&server).await.number("SELECT seq FROM audit_head").await, 14);
}

async fn accounts(server: &Server) {
    let done = async |method: &str, request: Vec<u8>| {
        let method = format!("ServiceAccountService/{method}");
        let event = event_of(server, &server.admin, &method, request, Code::Ok).await;
        assert_eq!((&*event.outcome, event.application_id.as_ref()), ("OK", None), "an account is of no application");
        event
    };
    let wish = pb::ServiceAccount { name: "ci".into(), ..Default::default() };
    let create = pb::CreateServiceAccountRequest { service_account: Some(wish), ..Default::default() };
    let made = done("CreateServiceAccount", create.encode_to_vec()).await;
    let id = made.resource_id.expect("the account");
    assert!(id.starts_with("sa_"), "{id}");
    let (key, id_of) = (test_key(1), || id.clone());
    let add = pb::AddServiceAccountKeyRequest {
        service_account_id: id_of(),
        public_key_pem: key.public().to_pem().to_owned(),
        wait: 0,
    };
    let kid = key.public().kid().to_string();
    let remove = pb::RemoveServiceAccountKeyRequest { service_account_id: id_of(), kid: kid.clone(), wait: 0 };
    let wish = pb::ServiceAccount { service_account_id: id_of(), name: "cd".into(), ..Default::default() };
    let update = pb::UpdateServiceAccountRequest { service_account: Some(wish), ..Default::default() };
    let disable = pb::DisableServiceAccountRequest { service_account_id: id_of(), ..Default::default() };
    for (method, request, says) in [
        ("AddServiceAccountKey", add.encode_to_vec(), &*kid),
        ("UpdateServiceAccount", update.encode_to_vec(), "\"name\":\"cd\""),
        ("RemoveServiceAccountKey", remove.encode_to_vec(), ",[]]"),
        ("DisableServiceAccount", disable.encode_to_vec(), "\"disabled\":true"),
    ] {
        let event = done(method, request).await;
        assert_eq!(event.resource_id.as_ref(), Some(&id), "{method}");
        let (before, after) = (event.before.expect("before"), event.after.expect("after"));
        assert!(after.contains(says) && !before.contains(says), "{method}: {before} {after}");
    }
}

#[tokio::test]
async fn every_refused_mutation_is_one_event_that_says_what_was_asked_for() {
    let server = Server::start().await;
    let viewer = server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]).await;
    let (app, id) = (server.app.clone(), |prefix: &str| format!("{prefix}_{:022}", 1));
    let (key_id, account, foreign) = (id("key"), id("sa"), id("app"));
    let create = pb::CreateKeyRequest { application_id: app.clone(), name: "k".into(), ..Default::default() };
    let revoke = pb::RevokeKeyRequest { application_id: app.clone(), key_id: key_id.clone(), ..Default::default() };
    let nobodys = pb::RevokeKeyRequest { application_id: foreign.clone(), ..revoke.clone() };
    let bad = pb::RevokeKeyRequest { key_id: "key_?".into(), reason: 99, ..revoke.clone() };
    let key = pb::Key { application_id: app.clone(), key_id: key_id.clone(), name: "k".into(), ..Default::default() };
    let update = pb::UpdateKeyRequest { key: Some(key), ..Default::default() };
    let application = pb::Application { application_id: foreign.clone(), name: "a".into(), ..Default::default() };
    let change = pb::UpdateApplicationRequest { application: Some(application), ..Default::default() };
    let disable = pb::DisableServiceAccountRequest { service_account_id: account.clone(), ..Default::default() };
    let remove = pb::RemoveServiceAccountKeyRequest { service_account_id: account.clone(), ..Default::default() };
    let keys = |name: &str| format!("KeyService/{name}");
    let (app, key_id, account, foreign) = (Some(&*app), Some(&*key_id), Some(&*account), Some(&*foreign));
    type Case<'a> = (&'a Persona, String, Vec<u8>, &'a str, Option<&'a str>, Option<&'a str>);
    let admin = &server.admin;
    let cases: [Case<'_>; 10] = [
        (&viewer, keys("CreateKey"), create.encode_to_vec(), "ROLE_MISSING", app, None),
        (&viewer, keys("RevokeKey"), revoke.encode_to_vec(), "ROLE_MISSING", app, key_id),
        (admin, keys("RevokeKey"), revoke.encode_to_vec(), "KEY_NOT_FOUND", app, key_id),
        (admin, keys("RevokeKey"), nobodys.encode_to_vec(), "KEY_NOT_FOUND", foreign, key_id),
        (admin, keys("RevokeKey"), bad.encode_to_vec(), "FIELD_INVALID", app, None),
        (admin, keys("RevokeKey"), vec![0xff; 9], "FIELD_INVALID", None, None),
        (admin, keys("UpdateKey"), update.encode_to_vec(), "KEY_NOT_FOUND", app, key_id),
        (
            admin,
            "ApplicationService/UpdateApplication".into(),
            change.encode_to_vec(),
            "APPLICATION_NOT_FOUND",
            foreign,
            foreign,
        ),
        (
            admin,
            "ServiceAccountService/DisableServiceAccount".into(),
            disable.encode_to_vec(),
            "SERVICE_ACCOUNT_NOT_FOUND",
            None,
            account,
        ),
        (
            admin,
            "ServiceAccountService/RemoveServiceAccountKey".into(),
            remove.encode_to_vec(),
            "FIELD_INVALID",
            None,
            account,
        ),
    ];
    for (by, method, message, reason, application_id, resource) in cases {
        let code = match reason {
            "ROLE_MISSING" => Code::PermissionDenied,
            "FIELD_INVALID" => Code::InvalidArgument,
            _ => Code::NotFound,
        };
        let event = event_of(&server, by, &method, message, code).await;
        assert_eq!((&*event.outcome, event.revision), (reason, None), "{method}");
        let about = (event.application_id.as_deref(), event.resource_id.as_deref());
        assert_eq!(about, (application_id, resource), "{method}: {reason}");
        assert_eq!((event.before, event.after), (None, None));
    }
}

#[tokio::test]
async fn what_proves_nothing_and_what_changes_nothing_is_no_event() {
    let server = Server::start().await;
    let before = server.last_event().await;
    server.try_verify("sk_live_nonsense").await.expect("verify");
    let token = Headers::bearer(&server.admin.token(&server));
    let create = path("KeyService/CreateKey");
    let unsigned = Headers(Vec::new());
    let late = Headers::sign(&server.admin, &create, &[], server.now().seconds() - 400, &nonce());
    let forged = Headers::sign(&server.admin, &create, b"other", server.now().seconds(), &nonce());
    for headers in [token, unsigned, late, forged] {
        exchange(&server, &create, Vec::new(), &headers).await.expect_err("refused");
    }
    let bad = pb::ListAuditEventsRequest { page_size: -1, ..Default::default() };
    assert_eq!(refusal(server.audit_as(&server.admin, &bad).await).1, "FIELD_INVALID");
    assert_eq!(server.last_event().await, before, "nor is that the log was read");
}

#[tokio::test]
async fn no_event_holds_a_secret_or_what_a_secret_could_be_looked_for_by() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::Digest as _;

    let server = Server::start().await;
    let made = server.key().await;
    server.revoke(&made.key.expect("key")).await;
    let hash: [u8; 32] = sha2::Sha256::digest(&made.secret).into();
    let hex = portcullis::chain::hex(&hash);
    let events = server.audit(&pb::ListAuditEventsRequest::default()).await.audit_events;
    assert!(events.iter().any(|event| event.before.is_some() && event.after.is_some()));
    let told = format!("{events:?}").to_lowercase();
    for secret in [&made.secret, &BASE64_STANDARD.encode(hash), &hex, "secret_sha256"] {
        assert!(!told.contains(&secret.to_lowercase()), "{secret}");
    }
}

/// A database of before there was a chain, with events in no order of their rows.
#[tokio::test]
async fn what_was_written_before_there_was_a_chain_is_chained_once_and_in_order() {
    const EVENTS: i64 = 1203;
    let data = Data::empty().await;
    let rows = Rows::begin(&data).await;
    Migrator::up(rows.connection(), Some(2)).await.expect("the first two");
    let event = |i: i64| {
        let id = (i * 7) % EVENTS;
        let (uuid, time) = (rows.uuid(uuid::Uuid::from_u128(id.unsigned_abs().into())), id / 3);
        format!("({uuid}, {time}, 'M/m', 'r{i}', '', 'OK', '[{i}]')")
    };
    let columns = "audit_id, time, method, request_id, peer, outcome, \"after\"";
    let events = (0..EVENTS).map(event).collect::<Vec<_>>().join(", ");
    rows.change(&format!("INSERT INTO audit_event ({columns}) VALUES {events}")).await;

    let migrate = async || Store::migrate(&data.database_url()).await.expect("migrate");
    assert!(migrate().await > 0);
    let links = rows.links().await;
    assert_eq!(links.len(), 1203);
    let written: Vec<_> = links.iter().map(|link| (link.record.time, link.record.audit_id)).collect();
    assert!(written.is_sorted(), "oldest first");
    assert_eq!(links, crate::harness::audit::rechained(links.iter().map(|link| link.record.clone())));
    assert_eq!(rows.number("SELECT seq FROM audit_head").await, EVENTS);

    assert_eq!(migrate().await, 0);
    assert_eq!(rows.links().await, links, "once");
    let late = rows.uuid(uuid::Uuid::from_u128(5000));
    rows.change(&format!(
        "INSERT INTO audit_event (audit_id, time, method, request_id, peer, outcome) \
         VALUES ({late}, 0, 'M/late', '', '', 'OK')"
    ))
    .await;
    assert_eq!(migrate().await, 0);
    let last = rows.links().await.pop().expect("an event");
    assert_eq!(
        (&*last.record.method, last.record.seq),
        ("M/late", EVENTS + 1),
        "also what an older version wrote since"
    );
    Store::open(&data.database_url(), Clock::system(), Entropy::system()).await.expect("and it opens");
}
