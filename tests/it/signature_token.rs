//! Calls by a signed token: what it must say, and for how long it is believed.

use std::time::Duration;

use portcullis::{
    pb,
    signing::token::{Audience, Claims, MAX_LENGTH},
};
use prost::Message as _;
use tonic::{Code, Status};

use crate::harness::{Headers, Persona, RawClient, Server, Setup, Wire, refusal, test_key};

const INVALID: (Code, &str) = (Code::Unauthenticated, "TOKEN_INVALID");

async fn list(server: &Server, token: &str) -> Result<pb::ListKeysResponse, Status> {
    let message = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() }.encode_to_vec();
    server.with_headers("KeyService/ListKeys", message, &Headers::bearer(token)).await
}

async fn refused(server: &Server, token: &str, what: &str) -> String {
    let status = list(server, token).await.expect_err(what);
    assert_eq!((status.code(), crate::harness::reason(&status).as_str()), INVALID, "{what}: {status:?}");
    status.message().to_owned()
}

#[tokio::test]
async fn each_claim_of_a_token_is_checked_and_the_answer_says_which() {
    let server = Server::start().await;
    let admin = &server.admin;
    let many = |names: &[&str]| Audience::Many(names.iter().map(ToString::to_string).collect());
    let one = |name: &str| Audience::One(name.to_owned());
    type Change<'a> = Box<dyn Fn(&mut Claims) + 'a>;
    let bad: Vec<(&str, Change<'_>, &str)> = vec![
        ("expired", Box::new(|claims| (claims.iat, claims.exp) = (claims.iat - 3600, claims.iat)), "expired"),
        ("above an hour", Box::new(|claims| claims.exp += 1), "hour"),
        ("issued long ago", Box::new(|claims| claims.iat -= 1), "hour"),
        ("for ever", Box::new(|claims| claims.exp = i64::MAX), "hour"),
        ("since ever", Box::new(|claims| claims.iat = i64::MIN), "hour"),
        ("issued ahead", Box::new(|claims| (claims.iat, claims.exp) = (claims.iat + 61, claims.iat + 600)), "future"),
        ("end before begin", Box::new(|claims| claims.exp = claims.iat - 1), "expired"),
        ("another iss", Box::new(|claims| claims.iss = "somebody@example.com".to_owned()), "client_email"),
        ("another sub", Box::new(|claims| claims.sub = "somebody@example.com".to_owned()), "client_email"),
        ("both of another", Box::new(|claims| (claims.iss, claims.sub) = ("x".into(), "x".into())), "client_email"),
        ("empty iss and sub", Box::new(|claims| (claims.iss, claims.sub) = Default::default()), "client_email"),
        ("another aud", Box::new(|claims| claims.aud = one("portcullis-staging")), "aud"),
        ("aud in capitals", Box::new(|claims| claims.aud = one("PORTCULLIS")), "aud"),
        ("empty aud", Box::new(|claims| claims.aud = one("")), "aud"),
        ("no aud in a list", Box::new(|claims| claims.aud = many(&[])), "aud"),
        ("others in a list", Box::new(|claims| claims.aud = many(&["a", "portcullis "])), "aud"),
        ("a URL nobody set", Box::new(|claims| claims.aud = one("https://localhost/")), "aud"),
    ];
    let before = server.rows().await;
    for (what, change, says) in &bad {
        let message = refused(&server, &admin.token_with(&server, change), what).await;
        assert!(message.contains(says), "{what}: {message}");
    }
    let good: Vec<(&str, Change<'_>)> = vec![
        ("an hour", Box::new(|_| {})),
        ("a minute ahead", Box::new(|claims| (claims.iat, claims.exp) = (claims.iat + 60, claims.exp + 60))),
        ("its last second", Box::new(|claims| (claims.iat, claims.exp) = (claims.iat - 3599, claims.exp - 3599))),
        ("ours among others", Box::new(|claims| claims.aud = many(&["a", "portcullis"]))),
    ];
    for (what, change) in &good {
        list(&server, &admin.token_with(&server, change)).await.unwrap_or_else(|status| panic!("{what}: {status:?}"));
    }
    assert_eq!(server.rows().await, before, "no call by token writes");
}

#[tokio::test]
async fn an_audience_may_be_the_url_of_the_service() {
    let token_audiences = vec!["https://keys.example.com:7443".to_owned(), "other-name".to_owned()];
    let server = Server::start_with(Setup { token_audiences, ..Setup::default() }).await;
    let token = |aud: &str| server.admin.token_with(&server, |claims| claims.aud = Audience::One(aud.to_owned()));
    let base = "https://keys.example.com:7443";
    let services = ["portcullis.v1.KeyService", "envoy.service.auth.v3.Authorization"];
    let [keys, envoy] = services.map(|service| format!("{base}/{service}"));
    for aud in [base, &format!("{base}/"), &keys, &envoy, "other-name", "portcullis"] {
        list(&server, &token(aud)).await.unwrap_or_else(|status| panic!("{aud}: {status:?}"));
    }
    let bad = [
        "http://keys.example.com:7443",
        "https://keys.example.com",
        "https://keys.example.com:744",
        "https://keys.example.com:74430",
        "https://keys.example.com:7443.evil.example",
        "https://keys.example.com:7443//",
        "https://keys.example.com:7443/portcullis.v1.Nothing",
        "https://keys.example.com:7443/portcullis.v1.KeyService/",
        "https://keys.example.com:7443@evil.example",
        "https://evil.example/https://keys.example.com:7443",
        "other-name/",
        "other-name/portcullis.v1.KeyService",
        "portcullis/",
    ];
    for aud in bad {
        refused(&server, &token(aud), aud).await;
    }
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_hour() {
    let server = Server::start().await;
    let token = server.admin.token(&server);
    list(&server, &token).await.expect("good");
    server.advance(Duration::from_secs(3599)).await;
    list(&server, &token).await.expect("its last second");
    server.advance(Duration::from_secs(1)).await;
    assert!(refused(&server, &token, "an hour later").await.contains("expired"));
}

/// An account with a token that the server has taken, and so remembers.
async fn with_token(server: &Server) -> (Persona, String) {
    let persona = server.admin.hire_role(server, 1, pb::Role::Viewer, &[]).await;
    let token = persona.token(server);
    for _ in 0..2 {
        list(server, &token).await.expect("good");
    }
    (persona, token)
}

#[tokio::test]
async fn a_remembered_token_is_refused_as_soon_as_its_account_is_disabled() {
    let server = Server::start().await;
    let (persona, token) = with_token(&server).await;
    let disable = pb::DisableServiceAccountRequest { service_account_id: persona.account_id, ..Default::default() };
    let _: pb::DisableServiceAccountResponse =
        server.signed(&server.admin, "ServiceAccountService/DisableServiceAccount", &disable).await.expect("disable");
    refused(&server, &token, "disabled").await;
}

#[tokio::test]
async fn a_remembered_token_is_refused_as_soon_as_its_key_is_removed() {
    let server = Server::start().await;
    let (persona, token) = with_token(&server).await;
    let kid = persona.kid();
    let remove = pb::RemoveServiceAccountKeyRequest { service_account_id: persona.account_id, kid, wait: 0 };
    let _: pb::RemoveServiceAccountKeyResponse =
        server.signed(&server.admin, "ServiceAccountService/RemoveServiceAccountKey", &remove).await.expect("remove");
    refused(&server, &token, "removed").await;
    // The key at another account: the bytes still verify, but it is not who it says it is.
    server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]).await;
    assert!(refused(&server, &token, "moved").await.contains("client_email"));
}

#[tokio::test]
async fn a_remembered_token_loses_a_role_with_its_account() {
    let server = Server::start().await;
    let (persona, token) = with_token(&server).await;
    let update = pb::UpdateServiceAccountRequest {
        service_account: Some(pb::ServiceAccount {
            service_account_id: persona.account_id,
            roles: vec![pb::Role::Watcher.into()],
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["roles".to_owned()] }),
        wait: 0,
    };
    let _: pb::UpdateServiceAccountResponse =
        server.signed(&server.admin, "ServiceAccountService/UpdateServiceAccount", &update).await.expect("update");
    let answer = refusal(list(&server, &token).await);
    assert_eq!(answer, (Code::PermissionDenied, "ROLE_MISSING".to_owned()));
}

#[tokio::test]
async fn no_mutation_is_made_by_a_token() {
    let server = Server::start().await;
    let before = server.rows().await;
    for method in portcullis::auth::METHODS.iter().filter(|method| method.is_mutation()) {
        let name = method.path.trim_start_matches("/portcullis.v1.");
        let headers = Headers::bearer(&server.admin.token(&server));
        let answer = server.with_headers::<pb::CreateKeyResponse>(name, Vec::new(), &headers).await;
        assert_eq!(refusal(answer), (Code::Unauthenticated, "SIGNATURE_MISSING".to_owned()), "{name}");
    }
    assert_eq!(server.rows().await, before);
    server.key().await;
}

#[tokio::test]
async fn a_token_above_4096_bytes_is_refused_and_told_so() {
    let server = Server::start().await;
    let sized = |filler: usize| {
        let aud = Audience::Many(vec!["portcullis".to_owned(), "x".repeat(filler)]);
        server.admin.token_with(&server, |claims| claims.aud = aud)
    };
    let longest = (2000..3000).rev().map(sized).find(|token| token.len() <= MAX_LENGTH).expect("one that fits");
    assert!(longest.len() > MAX_LENGTH - 4);
    list(&server, &longest).await.expect("the longest");
    let above = (2000..3000).map(sized).find(|token| token.len() > MAX_LENGTH).expect("one that does not");
    assert!(refused(&server, &above, "too long").await.contains("4096"));
}

#[tokio::test]
async fn a_token_of_a_key_that_nobody_registered_is_refused() {
    let server = Server::start().await;
    let stranger = Persona { key: test_key(7), ..server.admin.clone() };
    refused(&server, &stranger.token(&server), "a stranger who says to be the admin").await;
    let viewer = server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]).await;
    // With its own key, in the admin's name.
    let claimed = Persona { email: server.admin.email.clone(), ..viewer };
    assert!(refused(&server, &claimed.token(&server), "another's kid").await.contains("client_email"));
}

#[tokio::test]
async fn a_call_whose_message_comes_late_is_proven_as_of_then() {
    let server = Server::start().await;
    let viewer = server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]).await;
    let client = RawClient::connect(&server).await;
    let message = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() }.encode_to_vec();
    let wire = Wire::new("KeyService/ListKeys", &message, &Headers::bearer(&viewer.token(&server)));
    client.passes(&wire).await.expect("in time");
    let disable = async {
        server.admin.disable_account(&server, &viewer.account_id).await.expect("disable");
    };
    let answer = client.send_after(&wire, disable).await.expect("answer").result::<pb::ListKeysResponse>();
    assert_eq!(refusal(answer), (INVALID.0, INVALID.1.to_owned()));
}
