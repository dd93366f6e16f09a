//! ServiceAccountService: making, showing, changing and disabling accounts.

use std::time::Duration;

use portcullis::pb;
use tonic::Code;

use crate::harness::{Persona, Server, mask, refusal, uuid};

const LIST: &str = "ServiceAccountService/ListServiceAccounts";

fn editor(server: &Server) -> pb::ServiceAccount {
    pb::ServiceAccount {
        name: "editor".to_owned(),
        roles: vec![pb::Role::Editor.into()],
        application_ids: vec![server.app.clone()],
        grantable_permissions: vec!["tasks:*".to_owned()],
        ..Default::default()
    }
}

async fn listed(server: &Server, by: &Persona) -> Vec<String> {
    let request = pb::ListServiceAccountsRequest::default();
    let list: pb::ListServiceAccountsResponse = server.by_token(by, LIST, &request).await.expect("list");
    list.service_accounts.into_iter().map(|account| account.name).collect()
}

#[tokio::test]
async fn an_account_is_made_once_by_its_request_id_and_shown() {
    let server = Server::start().await;
    server.setup.clock.advance(Duration::from_millis(2));
    let wish = pb::ServiceAccount {
        roles: vec![3, 2, 3],
        application_ids: vec![server.app.clone(), server.app.clone()],
        ..editor(&server)
    };
    let request =
        pb::CreateServiceAccountRequest { service_account: Some(wish), request_id: uuid(), ..Default::default() };
    let method = "ServiceAccountService/CreateServiceAccount";
    let first: pb::CreateServiceAccountResponse = server.signed(&server.admin, method, &request).await.expect("create");
    let made = first.service_account.clone().expect("account");
    assert_eq!(made.client_email, format!("{}@portcullis.invalid", made.service_account_id));
    assert_eq!(made.roles, [2, 3], "each once");
    assert_eq!((made.all_applications, made.application_ids.as_slice()), (false, [server.app.clone()].as_slice()));
    assert_eq!((made.keys.len(), made.disabled, made.revision), (0, false, first.revision));
    let again: pb::CreateServiceAccountResponse = server.signed(&server.admin, method, &request).await.expect("repeat");
    assert_eq!(again, first, "the same OK");
    assert_eq!(server.admin.get_account(&server, &made.service_account_id).await.expect("get"), made);
    assert_eq!(listed(&server, &server.admin).await, ["admin", "editor"]);
    let server = server.restart().await;
    assert_eq!(server.admin.get_account(&server, &made.service_account_id).await.expect("get"), made);
}

#[tokio::test]
async fn a_scope_names_applications_that_exist() {
    let server = Server::start().await;
    let wish = pb::ServiceAccount { application_ids: vec!["app_0000000000000000000000".to_owned()], ..editor(&server) };
    let request = pb::CreateServiceAccountRequest { service_account: Some(wish.clone()), ..Default::default() };
    let (not_found, reason) = (Code::NotFound, "APPLICATION_NOT_FOUND");
    let method = "ServiceAccountService/CreateServiceAccount";
    server.refuses(&server.admin, method, &request, not_found, reason).await;
    let made = server.admin.create_account(&server, editor(&server)).await.expect("account");
    let wish = pb::ServiceAccount { service_account_id: made.service_account_id, ..wish };
    let request = pb::UpdateServiceAccountRequest {
        service_account: Some(wish),
        update_mask: mask(&["application_ids"]),
        wait: 0,
    };
    let method = "ServiceAccountService/UpdateServiceAccount";
    server.refuses(&server.admin, method, &request, not_found, reason).await;
    let many = pb::ServiceAccount { application_ids: vec![server.app.clone(); 1001], ..editor(&server) };
    let request = pb::CreateServiceAccountRequest { service_account: Some(many), ..Default::default() };
    let field = "service_account.application_ids";
    server.refuses_fields("ServiceAccountService/CreateServiceAccount", &request, &[field]).await;
}

#[tokio::test]
async fn an_update_keeps_to_its_mask_and_the_scope_is_one_thing() {
    let server = Server::start().await;
    let made = server.admin.create_account(&server, editor(&server)).await.expect("account");
    let id = made.service_account_id.as_str();
    let update = |paths: &'static [&'static str], wish: pb::ServiceAccount| {
        server.admin.update_account(&server, id, paths, wish)
    };
    let other = pb::ServiceAccount { roles: vec![4], disabled: true, ..Default::default() };
    let renamed = update(&["name"], pb::ServiceAccount { name: "new".to_owned(), ..other }).await.expect("name");
    assert_eq!(
        renamed,
        pb::ServiceAccount {
            name: "new".to_owned(),
            etag: renamed.etag.clone(),
            revision: renamed.revision,
            ..made.clone()
        }
    );
    assert_ne!(renamed.etag, made.etag);

    let all = pb::ServiceAccount { all_applications: true, ..Default::default() };
    let wide = update(&["all_applications"], all).await.expect("all");
    assert_eq!((wide.all_applications, wide.application_ids.len()), (true, 0));
    let one = pb::ServiceAccount { application_ids: vec![server.app.clone()], ..Default::default() };
    let narrow = update(&["application_ids"], one).await.expect("one");
    assert_eq!((narrow.all_applications, narrow.application_ids.len()), (false, 1));
    let none = update(&["all_applications"], pb::ServiceAccount::default()).await.expect("none");
    assert_eq!((none.all_applications, none.application_ids.len()), (false, 0));

    let stale = pb::ServiceAccount { name: "third".to_owned(), etag: made.etag, ..Default::default() };
    assert_eq!(refusal(update(&["name"], stale).await), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let unknown = server.admin.update_account(&server, "sa_0000000000000000000000", &["name"], editor(&server)).await;
    assert_eq!(refusal(unknown), (Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_disabled_account_is_refused_at_once_and_may_come_back() {
    let server = Server::start().await;
    let person = server.admin.hire(&server, 1, editor(&server)).await;
    let list = pb::ListKeysRequest { application_id: server.app.clone(), ..Default::default() };
    let token = crate::harness::Headers::bearer(&person.token(&server));
    let message = crate::harness::message_bytes(&list);
    let by_token = async || server.with_headers::<()>("KeyService/ListKeys", message.clone(), &token).await;
    by_token().await.expect("the token is remembered");

    for _ in 0..2 {
        let disabled = server.admin.disable_account(&server, &person.account_id).await.expect("idempotent");
        assert!(disabled.disabled);
        assert_eq!(refusal(by_token().await), (Code::Unauthenticated, "TOKEN_INVALID".to_owned()));
        let signed = server.signed::<_, ()>(&person, "KeyService/ListKeys", &list).await;
        assert_eq!(refusal(signed), (Code::Unauthenticated, "SIGNATURE_INVALID".to_owned()));
    }
    let enable = pb::ServiceAccount::default();
    let enabled = server.admin.update_account(&server, &person.account_id, &["disabled"], enable).await;
    assert!(!enabled.expect("enable").disabled);
    by_token().await.expect("good again");
}

#[tokio::test]
async fn what_a_caller_lacks_it_loses_at_once() {
    let server = Server::start().await;
    let person = server.admin.hire(&server, 1, editor(&server)).await;
    let create = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "k".to_owned(),
        permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    };
    let _: pb::CreateKeyResponse = server.signed(&person, "KeyService/CreateKey", &create).await.expect("may");
    let steps: [(&[&str], pb::ServiceAccount, &str); 3] = [
        (&["grantable_permissions"], pb::ServiceAccount::default(), "GRANT_EXCEEDED"),
        (&["application_ids"], pb::ServiceAccount::default(), "APPLICATION_OUT_OF_SCOPE"),
        (&["roles"], pb::ServiceAccount::default(), "ROLE_MISSING"),
    ];
    for (paths, wish, reason) in steps {
        server.admin.update_account(&server, &person.account_id, paths, wish).await.expect("update");
        server.refuses(&person, "KeyService/CreateKey", &create, Code::PermissionDenied, reason).await;
    }
}

#[tokio::test]
async fn an_account_of_a_wider_scope_does_not_exist() {
    let server = Server::start().await;
    let scoped = |role: pb::Role, name: &str| pb::ServiceAccount {
        name: name.to_owned(),
        roles: vec![role.into()],
        ..editor(&server)
    };
    server.setup.clock.advance(Duration::from_millis(2));
    let viewer = server.admin.hire(&server, 1, scoped(pb::Role::Viewer, "viewer")).await;
    server.setup.clock.advance(Duration::from_millis(2));
    let peer = server.admin.create_account(&server, scoped(pb::Role::Admin, "peer")).await.expect("account");
    server.setup.clock.advance(Duration::from_millis(2));
    let bare = pb::ServiceAccount { name: "bare".to_owned(), ..Default::default() };
    let bare = server.admin.create_account(&server, bare).await.expect("account");

    for id in [&viewer.account_id, &peer.service_account_id] {
        viewer.get_account(&server, id).await.expect("within the scope");
    }
    let not_found = (Code::NotFound, "SERVICE_ACCOUNT_NOT_FOUND".to_owned());
    // One without applications may be given any of them later.
    for id in [server.admin.account_id.as_str(), &bare.service_account_id, "sa_0000000000000000000000"] {
        assert_eq!(refusal(viewer.get_account(&server, id).await), not_found);
    }
    assert_eq!(listed(&server, &viewer).await, ["viewer", "peer"], "oldest first");
    assert_eq!(listed(&server, &server.admin).await, ["admin", "viewer", "peer", "bare"]);

    let mut seen = Vec::new();
    let mut page = pb::ListServiceAccountsRequest { page_size: 1, ..Default::default() };
    loop {
        let list: pb::ListServiceAccountsResponse = server.by_token(&viewer, LIST, &page).await.expect("page");
        assert!(list.service_accounts.len() <= 1);
        seen.extend(list.service_accounts.into_iter().map(|account| account.name));
        page.page_token = list.next_page_token;
        if page.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["viewer", "peer"], "what is hidden leaves no hole in the pages");
}
