//! The public keys of service accounts: rotation, and which keys are taken.

use portcullis::{pb, signing::PrivateKey};
use rsa::{
    BigUint, RsaPublicKey,
    pkcs1::EncodeRsaPublicKey as _,
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use secrecy::ExposeSecret as _;
use tonic::Code;

use crate::harness::{Headers, Persona, Server, Setup, message_bytes, refusal, test_key, violations};

const ADD: &str = "ServiceAccountService/AddServiceAccountKey";

fn viewer() -> pb::ServiceAccount {
    pb::ServiceAccount {
        name: "viewer".to_owned(),
        roles: vec![pb::Role::Viewer.into()],
        all_applications: true,
        ..Default::default()
    }
}

/// A public key that nobody can sign with: its modulus is a random odd number.
fn public_key(bits: u32, exponent: u32) -> RsaPublicKey {
    let mut modulus: Vec<u8> = (0..bits / 8).map(|_| rand::random()).collect();
    modulus[0] |= 0x80;
    *modulus.last_mut().expect("not empty") |= 1;
    RsaPublicKey::new_unchecked(BigUint::from_bytes_be(&modulus), BigUint::from(exponent))
}

fn pem(key: &RsaPublicKey) -> String {
    key.to_public_key_pem(LineEnding::LF).expect("pem")
}

/// What a token of this persona and a signature of it come to.
async fn calls(server: &Server, person: &Persona, token: &Headers) -> (Result<(), String>, Result<(), String>) {
    let list = pb::ListApplicationsRequest::default();
    let method = "ApplicationService/ListApplications";
    let by_token = server.with_headers::<()>(method, message_bytes(&list), token).await;
    let signed = server.signed::<_, ()>(person, method, &list).await;
    (by_token.map_err(|status| refusal::<()>(Err(status)).1), signed.map_err(|status| refusal::<()>(Err(status)).1))
}

#[tokio::test]
async fn a_key_is_rotated_by_its_own_account_and_the_old_one_ends_at_once() {
    let server = Server::start_with(Setup::deaf(std::time::Duration::from_secs(1))).await;
    let old = server.admin.hire(&server, 1, viewer()).await;
    let new = old.with_key(2);
    let (old_token, new_token) = (Headers::bearer(&old.token(&server)), Headers::bearer(&new.token(&server)));
    assert_eq!(calls(&server, &old, &old_token).await, (Ok(()), Ok(())), "and the token is remembered");
    let (by_token, signed) = calls(&server, &new, &new_token).await;
    assert_eq!(
        (by_token.unwrap_err(), signed.unwrap_err()),
        ("TOKEN_INVALID".to_owned(), "SIGNATURE_INVALID".to_owned())
    );

    // A viewer, on its own account.
    let added = old.add_key(&server, &old.account_id, new.key.public().to_pem()).await.expect("add");
    assert_eq!(added.kid, new.kid());
    let kids: Vec<_> = added.service_account.expect("account").keys.into_iter().map(|key| key.kid).collect();
    assert!(kids.len() == 2 && kids.contains(&old.kid()) && kids.contains(&new.kid()), "{kids:?}");
    assert_eq!(calls(&server, &old, &old_token).await, (Ok(()), Ok(())));
    assert_eq!(calls(&server, &new, &new_token).await, (Ok(()), Ok(())));

    let left = new.remove_key(&server, &old.account_id, &old.kid()).await.expect("remove");
    assert_eq!(left.keys.len(), 1);
    let (by_token, signed) = calls(&server, &old, &old_token).await;
    assert_eq!(
        (by_token.unwrap_err(), signed.unwrap_err()),
        ("TOKEN_INVALID".to_owned(), "SIGNATURE_INVALID".to_owned())
    );
    assert_eq!(calls(&server, &new, &new_token).await, (Ok(()), Ok(())));
    let again = new.remove_key(&server, &old.account_id, &old.kid()).await;
    assert_eq!(refusal(again), (Code::NotFound, "SERVICE_ACCOUNT_KEY_NOT_FOUND".to_owned()));

    // An account that is no root may give its last key back, and is locked out.
    new.remove_key(&server, &new.account_id, &new.kid()).await.expect("the last one");
    assert_eq!(calls(&server, &new, &new_token).await.1, Err("SIGNATURE_INVALID".to_owned()));
}

#[tokio::test]
async fn adding_a_key_again_changes_nothing_and_anothers_is_refused() {
    let server = Server::start().await;
    let one = server.admin.hire(&server, 1, viewer()).await;
    let two = server.admin.hire(&server, 2, viewer()).await;
    let before = server.revision().await;
    let again = one.add_key(&server, &one.account_id, one.key.public().to_pem()).await.expect("again");
    assert_eq!((again.kid, again.service_account.expect("account").keys.len()), (one.kid(), 1));
    assert_eq!(server.revision().await, before);

    for by in [&two, &server.admin] {
        let theirs = pb::AddServiceAccountKeyRequest {
            service_account_id: two.account_id.clone(),
            public_key_pem: one.key.public().to_pem().to_owned(),
            wait: 0,
        };
        server.refuses(by, ADD, &theirs, Code::AlreadyExists, "SERVICE_ACCOUNT_KEY_EXISTS").await;
    }
    // Whose it is, who may see that account is told, and nobody else.
    let verifier = server.admin.hire_role(&server, 3, pb::Role::Verifier, &[]).await;
    for (by, is_told) in [(&two, true), (&verifier, false)] {
        let refused = by.add_key(&server, &by.account_id, one.key.public().to_pem()).await.expect_err("another's");
        assert_eq!(format!("{refused:?}").contains(&one.account_id), is_told, "{refused:?}");
    }
    // Given back, it may be anybody's.
    server.admin.remove_key(&server, &one.account_id, &one.kid()).await.expect("remove");
    two.add_key(&server, &two.account_id, one.key.public().to_pem()).await.expect("free");
    let heir = two.with_key(1);
    server.signed::<_, ()>(&heir, "ApplicationService/ListApplications", &()).await.expect("signs for two");
    // A token that still names the account that had the key.
    let stale = Headers::bearer(&one.token(&server));
    let answer = server.with_headers::<()>("ApplicationService/ListApplications", Vec::new(), &stale).await;
    assert_eq!(refusal(answer).1, "TOKEN_INVALID");
}

#[tokio::test]
async fn sixteen_keys_are_the_most() {
    let server = Server::start().await;
    let person = server.admin.hire(&server, 1, viewer()).await;
    for count in 2..=16 {
        let added = person.add_key(&server, &person.account_id, &pem(&public_key(2048, 65537))).await.expect("add");
        assert_eq!(added.service_account.expect("account").keys.len(), count);
    }
    let more = pb::AddServiceAccountKeyRequest {
        service_account_id: person.account_id.clone(),
        public_key_pem: pem(&public_key(2048, 65537)),
        wait: 0,
    };
    server.refuses_fields(ADD, &more, &["service_account_id"]).await;
    person.add_key(&server, &person.account_id, person.key.public().to_pem()).await.expect("one that is there");
}

#[tokio::test]
async fn weak_foreign_and_private_keys_are_refused() {
    let server = Server::start().await;
    let id = server.admin.account_id.clone();
    let generated = PrivateKey::generate().expect("entropy");
    let private = generated.to_pem().expect("pem");
    let private = private.expose_secret();
    let even = RsaPublicKey::new_unchecked(BigUint::from(1_u32) << 2047, BigUint::from(65_537_u32));
    let good = pem(&public_key(2048, 65537));
    let elliptic = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\nq9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----\n";
    let bad = [
        (private.to_owned(), "this is a private key"),
        (format!("{good}{private}"), "this is a private key"),
        (pem(&public_key(1024, 65537)), "1024"),
        (pem(&public_key(2040, 65537)), "2040"),
        (pem(&public_key(4104, 65537)), ""),
        (pem(&public_key(2048, 3)), "65537"),
        (pem(&public_key(2048, 65539)), "65537"),
        (pem(&even), ""),
        (elliptic.to_owned(), "RSA"),
        (format!("{good}{good}"), ""),
        (format!("x{good}"), ""),
        (good.replace("PUBLIC KEY", "CERTIFICATE"), ""),
        (good[..good.len() / 2].to_owned(), ""),
        ("é".to_owned(), ""),
    ];
    for (text, hint) in bad {
        let bad = pb::AddServiceAccountKeyRequest { service_account_id: id.clone(), public_key_pem: text, wait: 0 };
        server.refuses_fields(ADD, &bad, &["public_key_pem"]).await;
        let status = server.signed::<_, ()>(&server.admin, ADD, &bad).await.expect_err("refused");
        assert!(status.message().contains(hint), "{hint}: {}", status.message());
        assert_eq!(violations(&status), ["public_key_pem"]);
        assert!(!format!("{status:?}").contains(&private[100..140]), "what was sent is not sent back");
    }
    for key in [public_key(2048, 65537), public_key(3072, 65537), public_key(4096, 65537)] {
        let pkcs1 = key.to_pkcs1_pem(LineEnding::CRLF).expect("pem");
        let added = server.admin.add_key(&server, &id, &format!("\n{pkcs1}\n")).await.expect("PKCS#1 with CRLF");
        let account = added.service_account.expect("account");
        let stored = account.keys.iter().find(|key| key.kid == added.kid).expect("key");
        assert_eq!(stored.public_key_pem, pem(&key), "kept as SubjectPublicKeyInfo");
    }
    assert!(test_key(0).public().to_pem().starts_with("-----BEGIN PUBLIC KEY-----"));
}

#[tokio::test]
async fn the_keys_of_others_need_admin() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &["*"]).await;
    let other = server.admin.hire(&server, 2, viewer()).await;
    let role_missing = (Code::PermissionDenied, "ROLE_MISSING".to_owned());
    // Whether it exists or not: the answers are the same.
    for id in [other.account_id.as_str(), server.admin.account_id.as_str(), "sa_0000000000000000000000"] {
        let add = editor.add_key(&server, id, test_key(3).public().to_pem()).await;
        assert_eq!(refusal(add), role_missing);
        assert_eq!(refusal(editor.remove_key(&server, id, &other.kid()).await), role_missing);
    }
    let missing = server.admin.remove_key(&server, "sa_0000000000000000000000", &other.kid()).await;
    assert_eq!(refusal(missing), (Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND".to_owned()));
    let missing = server.admin.remove_key(&server, &editor.account_id, &other.kid()).await;
    assert_eq!(refusal(missing), (Code::NotFound, "SERVICE_ACCOUNT_KEY_NOT_FOUND".to_owned()));
    server.admin.remove_key(&server, &other.account_id, &other.kid()).await.expect("an admin may");
}
