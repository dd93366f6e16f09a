//! What ImportKeys refuses, and that it takes nothing then.

use portcullis::pb::{self, Verdict};
use tonic::Code;

use crate::harness::{
    Server,
    import::{IMPORT, counts, old_key, old_key_of, sha256, text},
    reason, refusal,
    rotate::rotation_with,
    verify::rate_limit,
    violations,
};

/// What each key is refused for.
fn told(status: &tonic::Status) -> Vec<(String, String)> {
    let details = tonic_types::StatusExt::get_error_details(status);
    let bad = details.bad_request().expect("violations");
    bad.field_violations.iter().map(|violation| (violation.field.clone(), violation.description.clone())).collect()
}

#[tokio::test]
async fn all_that_is_wrong_with_any_key_is_told_at_once_and_none_is_imported() {
    let server = Server::start().await;
    let keys = vec![
        old_key(0),
        pb::KeyToImport { name: String::new(), permissions: vec!["tasks".to_owned()], ..old_key(1) },
        pb::KeyToImport { secret_sha256: sha256(&text(2))[..31].to_vec(), ..old_key(2) },
        pb::KeyToImport { secret_sha256: vec![0; 32], ..old_key(3) },
        pb::KeyToImport { r#type: 9, environment: -1, ip_allowlist: vec!["x".to_owned()], ..old_key(4) },
        old_key(0),
        pb::KeyToImport { prefix: text(6), ..old_key(6) },
        pb::KeyToImport { prefix: "x".repeat(33), ..old_key(7) },
    ];
    let fields = [
        "keys[1].name",
        "keys[1].permissions[0]",
        "keys[2].secret_sha256",
        "keys[3].secret_sha256",
        "keys[4].environment",
        "keys[4].ip_allowlist[0]",
        "keys[4].type",
        "keys[5].secret_sha256",
        "keys[6].prefix",
        "keys[7].prefix",
    ];
    // The first thing that is no permission keeps the rest of its key from being read.
    let status = server.try_import(&server.admin, &server.import_of(keys.clone())).await.expect_err("refused");
    let mut found = violations(&status);
    found.sort();
    assert_eq!(found, fields.iter().filter(|field| **field != "keys[1].permissions[0]").copied().collect::<Vec<_>>());
    assert!(told(&status).iter().any(|(field, why)| field == "keys[2].secret_sha256" && why.contains("bcrypt")));
    assert_eq!(server.rows().await.keys, 0);

    let publishable = pb::KeyToImport { r#type: pb::KeyType::Publishable.into(), ..old_key(1) };
    let full = pb::KeyToImport {
        permissions: vec!["*".to_owned()],
        ip_allowlist: vec!["192.0.2.1".to_owned()],
        ..publishable.clone()
    };
    let full = pb::KeyToImport { secret_sha256: sha256("another text"), ..full };
    let over = pb::KeyToImport { expire_time: server.ahead(0), ..old_key(3) };
    let request = server.import_of(vec![publishable, full, over]);
    let fields = ["keys[0].referrer_allowlist", "keys[1].permissions", "keys[2].expire_time"];
    server.refuses_fields(IMPORT, &request, &fields).await;
    server.choose(&["plan"], pb::Application { plan: pb::Plan::Free.into(), ..Default::default() }).await;
    let above = pb::KeyToImport { rate_limits: vec![rate_limit("more", 1_000_000, 60)], ..old_key(4) };
    server.refuses_fields(IMPORT, &server.import_of(vec![old_key(0), above]), &["keys[1].rate_limits[0].limit"]).await;
}

#[tokio::test]
async fn one_to_a_thousand_keys_of_a_megabyte_are_taken_and_no_more() {
    let server = Server::start().await;
    server.refuses_fields(IMPORT, &server.import_of(Vec::new()), &["keys"]).await;
    server.refuses_fields(IMPORT, &server.import_of((0..1001).map(old_key).collect()), &["keys"]).await;
    let large = |number| pb::KeyToImport { description: "d".repeat(1000), ..old_key(number) };
    let most: Vec<_> = (0..900).map(large).collect();
    assert_eq!(counts(&server.import(most).await), (900, 0));
    let more = server.import_of((0..1000).map(large).collect());
    let (code, why) = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    server.refuses(&server.admin, IMPORT, &more, code, why).await;
    let status = server.try_import(&server.admin, &more).await.expect_err("too large");
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(details.error_info().expect("info").metadata["limit_bytes"], (1024 * 1024).to_string());
}

#[tokio::test]
async fn so_many_wrong_keys_are_answered_with_what_a_header_takes() {
    let server = Server::start().await;
    let wrong = (0..1000).map(|number| pb::KeyToImport { name: String::new(), ..old_key(number) }).collect();
    let status = server.try_import(&server.admin, &server.import_of(wrong)).await.expect_err("refused");
    assert_eq!(refusal::<()>(Err(status.clone())), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    assert!(told(&status).len() > 10 && status.details().len() < 8 * 1024, "{}", status.details().len());
}

#[tokio::test]
async fn nobody_imports_what_they_could_not_create() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["tasks:read"]).await;
    let more = pb::KeyToImport { permissions: vec!["tasks:write".to_owned()], ..old_key(1) };
    let request = server.import_of(vec![old_key(0), more]);
    server.refuses(&editor, IMPORT, &request, Code::PermissionDenied, "GRANT_EXCEEDED").await;
    let status = server.try_import(&editor, &request).await.expect_err("refused");
    assert!(status.message().contains("tasks:write of keys[1]"), "{status:?}");
    assert_eq!(
        counts(&server.try_import(&editor, &server.import_of(vec![old_key(0)])).await.expect("its own")),
        (1, 0)
    );
    let account = pb::ServiceAccount {
        name: "elsewhere".to_owned(),
        roles: vec![pb::Role::Editor.into()],
        application_ids: vec![server.another_app().await],
        ..Default::default()
    };
    let elsewhere = server.admin.hire(&server, 2, account).await;
    let none = pb::KeyToImport { permissions: Vec::new(), ..old_key(2) };
    let request = server.import_of(vec![none]);
    server.refuses(&elsewhere, IMPORT, &request, Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE").await;
    let nowhere = pb::ImportKeysRequest { application_id: "app_0000000000000000000001".to_owned(), ..request };
    server.refuses(&server.admin, IMPORT, &nowhere, Code::NotFound, "APPLICATION_NOT_FOUND").await;
}

#[tokio::test]
async fn a_hash_that_is_another_key_of_the_application_is_refused_with_what_differs() {
    let server = Server::start().await;
    let first = server.import_many(0..2).await;
    let changed = pb::KeyToImport { name: "x".to_owned(), disabled: true, ..old_key(1) };
    let before = server.rows().await.keys;
    let request = server.import_of(vec![old_key(0), changed, old_key(2)]);
    let status = server.try_import(&server.admin, &request).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status)), (Code::AlreadyExists, "KEY_EXISTS".to_owned()));
    let why = format!("is the hash of {} already, with another name, disabled", first.keys[1].key_id);
    assert_eq!(told(&status), [("keys[1].secret_sha256".to_owned(), why)]);
    assert_eq!(server.rows().await.keys, before, "nor is the third imported");
    assert_eq!(server.verdict(&text(1)).await, Verdict::Valid, "nor the second changed");
    let made = server.key().await;
    let own = old_key_of(&made.secret, "key");
    assert_eq!(refusal(server.try_import(&server.admin, &server.import_of(vec![own])).await).1, "KEY_EXISTS");
}

/// The promise that nothing un-revokes a key, by this way: the guard `Sticky`.
#[tokio::test]
async fn a_revoked_key_s_text_never_becomes_a_key_again() {
    let server = Server::start().await;
    let first = server.import_many(0..3).await;
    server.revoke(&server.get_key(&first.keys[0].key_id).await).await;
    server.rotate_with(&rotation_with(&server.get_key(&first.keys[1].key_id).await, 0)).await;
    let made = server.key().await;
    server.revoke(made.key.as_ref().expect("key")).await;
    let own = old_key_of(&made.secret, "key");
    let other = pb::KeyToImport { name: "other".to_owned(), ..old_key(0) };
    for (wish, secret) in [(old_key(0), text(0)), (other, text(0)), (old_key(1), text(1)), (own, made.secret.clone())] {
        let status = server.try_import(&server.admin, &server.import_of(vec![old_key(5), wish])).await;
        let status = status.expect_err("refused");
        assert_eq!(reason(&status), "KEY_EXISTS");
        let told = told(&status);
        assert!(told.len() == 1 && told[0].1.contains("revoked") && told[0].0 == "keys[1].secret_sha256", "{told:?}");
        assert_eq!(server.verdict(&secret).await, Verdict::Revoked);
        assert_eq!(server.verdict(&text(5)).await, Verdict::NotFound, "all or none");
    }
}

#[tokio::test]
async fn who_does_not_see_its_application_is_told_no_more_of_a_key_than_that_it_is_there() {
    let server = Server::start().await;
    let other = server.another_app().await;
    let theirs =
        pb::ImportKeysRequest { application_id: other.clone(), ..server.import_of((0..2).map(old_key).collect()) };
    let made = server.try_import(&server.admin, &theirs).await.expect("import");
    let request = pb::RevokeKeyRequest {
        application_id: other.clone(),
        key_id: made.keys[1].key_id.clone(),
        ..Default::default()
    };
    let _: pb::RevokeKeyResponse =
        server.signed(&server.admin, "KeyService/RevokeKey", &request).await.expect("revoke");
    let account = pb::ServiceAccount {
        name: "editor".to_owned(),
        roles: vec![pb::Role::Editor.into()],
        application_ids: vec![server.app.clone()],
        grantable_permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    };
    let editor = server.admin.hire(&server, 1, account).await;
    let request = server.import_of((0..3).map(old_key).collect());
    let status = server.try_import(&editor, &request).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status)), (Code::AlreadyExists, "KEY_EXISTS".to_owned()));
    let told = told(&status);
    assert_eq!(
        told.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(),
        ["keys[0].secret_sha256", "keys[1].secret_sha256"]
    );
    assert_eq!(told[0].1, told[1].1, "a good one and a revoked one are told alike");
    for word in [&made.keys[0].key_id, &made.keys[1].key_id, &other] {
        assert!(!format!("{status:?}").contains(word), "{status:?}");
    }
    let seen = server.try_import(&server.admin, &request).await.expect_err("refused");
    assert_eq!(reason(&seen), "KEY_EXISTS");
    let why = |at: usize| format!("is the hash of a key already, elsewhere: {} of {other}", made.keys[at].key_id);
    assert_eq!(self::told(&seen), [0, 1].map(|at| (format!("keys[{at}].secret_sha256"), why(at))));
    let question =
        pb::VerifyKeyRequest { application_id: server.app.clone(), ..crate::harness::verify::about(&text(0)) };
    assert_eq!(server.verdict_on(&question).await, Verdict::Malformed, "no key was imported here");
}
