//! Every role at every method, through the wire.

use portcullis::{auth::METHODS, pb};
use tonic::{Code, Status};

use crate::harness::{Headers, Persona, Server, exchange, nonce, path, refusal};

use pb::Role::{Editor, Verifier, Viewer, Watcher};

/// Who passes the gate beside ADMIN; nobody named: every proven caller. Written out here, so
/// that a slip in a proto shows.
const MATRIX: [(&str, &[pb::Role]); 34] = [
    (crate::sweep::CHECK, &[Verifier]),
    ("ApplicationService/CreateApplication", &[pb::Role::Admin]),
    ("ApplicationService/GetApplication", &[Viewer, Editor]),
    ("ApplicationService/ListApplications", &[Viewer, Editor]),
    ("ApplicationService/UpdateApplication", &[pb::Role::Admin]),
    ("AuditService/ListAuditEvents", &[Viewer]),
    ("KeyService/CreateKey", &[Editor]),
    ("KeyService/GetKey", &[Viewer, Editor]),
    ("KeyService/GetKeyUsage", &[Viewer, Editor]),
    ("KeyService/GetRateLimit", &[Verifier]),
    // Whose key it is sealed to.
    ("KeyService/GetSealedSecret", &[]),
    ("KeyService/ImportKeys", &[Editor]),
    ("KeyService/ListKeys", &[Viewer, Editor]),
    ("KeyService/ReportLeakedKey", &[]),
    ("KeyService/RevokeKey", &[Editor]),
    ("KeyService/RotateKey", &[Editor]),
    ("KeyService/UpdateKey", &[Editor]),
    // What each may ask of it is shown in `verdict.rs`.
    ("KeyService/VerifyKey", &[Verifier, Viewer, Editor]),
    ("KeyService/WatchRevocations", &[Watcher]),
    ("ServiceAccountService/AddServiceAccountKey", &[]),
    ("ServiceAccountService/CreateServiceAccount", &[pb::Role::Admin]),
    ("ServiceAccountService/DisableServiceAccount", &[pb::Role::Admin]),
    ("ServiceAccountService/GetServiceAccount", &[Viewer, Editor]),
    ("ServiceAccountService/ListServiceAccounts", &[Viewer, Editor]),
    ("ServiceAccountService/RemoveServiceAccountKey", &[]),
    ("ServiceAccountService/UpdateServiceAccount", &[pb::Role::Admin]),
    ("WebhookService/CreateWebhook", &[pb::Role::Admin]),
    ("WebhookService/DeleteWebhook", &[pb::Role::Admin]),
    ("WebhookService/GetWebhook", &[Viewer]),
    ("WebhookService/ListWebhookDeliveries", &[Viewer]),
    ("WebhookService/ListWebhooks", &[Viewer]),
    ("WebhookService/RotateWebhookSecret", &[pb::Role::Admin]),
    ("WebhookService/TestWebhook", &[pb::Role::Admin]),
    ("WebhookService/UpdateWebhook", &[pb::Role::Admin]),
];

/// An empty request, whose refusal, if any, tells how far it came.
async fn call(server: &Server, by: &Persona, method: &str, headers: &Headers) -> Result<(), Status> {
    if method == "KeyService/WatchRevocations" {
        // Its stream would not end by itself.
        return server.watch(by, &pb::WatchRevocationsRequest::default()).await.map(drop);
    }
    exchange(server, &path(method), Vec::new(), headers).await.map(drop)
}

fn signed(server: &Server, by: &Persona, method: &str) -> Headers {
    Headers::sign(by, &path(method), &[], server.now().seconds(), &nonce())
}

#[tokio::test]
async fn each_role_does_what_the_protos_say_and_nothing_more() {
    let server = Server::start().await;
    let mut people = vec![(None, server.admin.hire(&server, 6, account(None)).await)];
    for (role, key) in [(pb::Role::Admin, 1), (Viewer, 2), (Editor, 3), (Verifier, 4), (Watcher, 5)] {
        people.push((Some(role), server.admin.hire(&server, key, account(Some(role))).await));
    }
    let before = server.revision().await;
    for (method, roles) in MATRIX {
        let takes_token = !METHODS.iter().any(|m| m.path == path(method) && m.is_mutation());
        for (role, person) in &people {
            let may = roles.is_empty() || role.is_some_and(|role| role == pb::Role::Admin || roles.contains(&role));
            let mut ways = vec![signed(&server, person, method)];
            if takes_token {
                ways.push(Headers::bearer(&person.token(&server)));
            }
            for headers in ways {
                let told = call(&server, person, method, &headers).await.map_err(|status| refusal::<()>(Err(status)));
                let missing = Err((Code::PermissionDenied, "ROLE_MISSING".to_owned()));
                assert_eq!(told == missing, !may, "{method} by {role:?}: {told:?}");
                let far_enough = matches!(&told, Ok(()) | Err((Code::InvalidArgument | Code::PermissionDenied, _)));
                assert!(far_enough, "{method} by {role:?}: {told:?}");
            }
        }
    }
    assert_eq!(server.revision().await, before, "an empty request changes nothing");
}

fn account(role: Option<pb::Role>) -> pb::ServiceAccount {
    pb::ServiceAccount {
        name: format!("{role:?}"),
        roles: role.into_iter().map(Into::into).collect(),
        all_applications: true,
        ..Default::default()
    }
}

#[test]
fn the_matrix_misses_no_method() {
    let paths: Vec<_> = METHODS.iter().map(|method| method.path).collect();
    let written: Vec<_> = MATRIX.iter().map(|(method, _)| path(method)).collect();
    assert_eq!(paths, written);
}
