//! Texts of other forms than ours: looked up where keys were imported, and nowhere else.

use portcullis::pb::{self, Verdict};

use crate::harness::{
    Persona, Server,
    import::{old_key, old_key_of, text},
    verify::about,
};

/// Of our form, but for its checksum.
const ALMOST_OURS: &str = "sk_live_00000000000000000000000000000000000000000001Vxh1a";

async fn asked(server: &Server, by: &Persona, secret: &str, application_id: &str) -> Verdict {
    let question = pb::VerifyKeyRequest { application_id: application_id.to_owned(), ..about(secret) };
    server.ask(by, &question).await.expect("verify").verdict()
}

async fn verifier_of(server: &Server, key: usize, application_id: &str) -> Persona {
    let account = pb::ServiceAccount {
        name: "verifier".to_owned(),
        roles: vec![pb::Role::Verifier.into()],
        application_ids: vec![application_id.to_owned()],
        ..Default::default()
    };
    server.admin.hire(server, key, account).await
}

#[tokio::test]
async fn a_foreign_text_is_looked_up_only_where_keys_were_imported_and_who_sees_no_such_place_hears_nothing_of_it() {
    let server = Server::start().await;
    let other = server.another_app().await;
    let (here, there) = (verifier_of(&server, 1, &server.app).await, verifier_of(&server, 2, &other).await);
    for person in [&server.admin, &here, &there] {
        assert_eq!(asked(&server, person, &text(0), "").await, Verdict::Malformed, "nothing was imported");
    }
    server.import_many(0..1).await;
    for restarted in [false, true] {
        for (secret, found) in
            [(text(0), Verdict::Valid), (text(1), Verdict::NotFound), (ALMOST_OURS.to_owned(), Verdict::NotFound)]
        {
            assert_eq!(asked(&server, &server.admin, &secret, "").await, found, "{secret} {restarted}");
            assert_eq!(asked(&server, &server.admin, &secret, &server.app).await, found);
            assert_eq!(asked(&server, &here, &secret, "").await, found);
            assert_eq!(asked(&server, &server.admin, &secret, &other).await, Verdict::Malformed);
            assert_eq!(asked(&server, &there, &secret, "").await, Verdict::Malformed, "as before the import");
        }
    }
}

#[tokio::test]
async fn a_text_is_8_to_512_visible_characters_and_may_look_like_ours() {
    let server = Server::start().await;
    let texts = ["12345678", ALMOST_OURS, "a key=with/signs+%", &"x".repeat(512)];
    let texts: Vec<_> = texts.iter().map(|text| text.replace(' ', "_")).collect();
    let keys = texts.iter().map(|text| old_key_of(text, "k")).collect();
    server.import(keys).await;
    for text in &texts {
        assert_eq!(server.verdict(text).await, Verdict::Valid, "{text:.60}");
    }
    for bad in ["1234567", "", "1234 5678", "12345678\n", "schlüsselwort", &"x".repeat(513), &"x".repeat(50_000)] {
        assert_eq!(server.verdict(bad).await, Verdict::Malformed, "{bad:.60}");
    }
    let ours = server.key().await.secret;
    assert_eq!(server.verdict(&ours).await, Verdict::Valid);
    let mut typo = ours.clone();
    typo.replace_range(10..11, if &ours[10..11] == "a" { "b" } else { "a" });
    assert_eq!(server.verdict(&typo).await, Verdict::NotFound, "it might have been imported");
}

#[tokio::test]
async fn a_dry_run_and_the_limits_of_an_imported_key_are_asked_by_its_text() {
    let server = Server::start().await;
    let key = server.import(vec![pb::KeyToImport { disabled: true, ..old_key(0) }]).await.keys.remove(0);
    let question =
        pb::VerifyKeyRequest { dry_run: true, environment: pb::KeyEnvironment::Test.into(), ..about(&text(0)) };
    let answer = server.ask(&server.admin, &question).await.expect("verify");
    assert_eq!(
        (answer.key_id.as_str(), answer.failed_checks),
        (key.key_id.as_str(), vec![Verdict::Disabled.into(), Verdict::EnvironmentNotAllowed.into()])
    );
    assert_eq!(server.remaining(&text(0)).await, []);
    let wrong = pb::VerifyKeyRequest { dry_run: true, ..about(&text(1)) };
    let answer = server.ask(&server.admin, &wrong).await.expect("verify");
    assert_eq!(answer.failed_checks, [i32::from(Verdict::NotFound)]);
}
