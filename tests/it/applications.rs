//! ApplicationService.

use std::time::Duration;

use portcullis::pb;
use tonic::{Code, Status};

use crate::harness::{Persona, Server, mask, refusal, uuid};

async fn create(server: &Server, by: &Persona, name: &str) -> Result<pb::Application, Status> {
    // Ids of the same millisecond have no order.
    server.setup.clock.advance(Duration::from_millis(2));
    let application = pb::Application { name: name.to_owned(), ..Default::default() };
    let request = pb::CreateApplicationRequest { application: Some(application), request_id: String::new() };
    let made: pb::CreateApplicationResponse =
        server.signed(by, "ApplicationService/CreateApplication", &request).await?;
    Ok(made.application.expect("application"))
}

async fn get(server: &Server, by: &Persona, id: &str) -> Result<pb::Application, Status> {
    let request = pb::GetApplicationRequest { application_id: id.to_owned() };
    let got: pb::GetApplicationResponse = server.by_token(by, "ApplicationService/GetApplication", &request).await?;
    Ok(got.application.expect("application"))
}

async fn names(server: &Server, by: &Persona) -> Vec<String> {
    let request = pb::ListApplicationsRequest::default();
    let listed: pb::ListApplicationsResponse =
        server.by_token(by, "ApplicationService/ListApplications", &request).await.expect("list");
    listed.applications.into_iter().map(|application| application.name).collect()
}

async fn update(
    server: &Server,
    by: &Persona,
    application: pb::Application,
    paths: &[&str],
) -> Result<pb::Application, Status> {
    let update_mask = if paths.is_empty() { None } else { mask(paths) };
    let request = pb::UpdateApplicationRequest { application: Some(application), update_mask };
    let updated: pb::UpdateApplicationResponse =
        server.signed(by, "ApplicationService/UpdateApplication", &request).await?;
    Ok(updated.application.expect("application"))
}

/// One with this role in these applications only.
async fn hire_within(server: &Server, key: usize, role: pb::Role, applications: &[&str]) -> Persona {
    let account = pb::ServiceAccount {
        name: "scoped".to_owned(),
        roles: vec![role.into()],
        application_ids: applications.iter().map(ToString::to_string).collect(),
        grantable_permissions: vec!["tasks:*".to_owned()],
        ..Default::default()
    };
    server.admin.hire(server, key, account).await
}

#[tokio::test]
async fn an_application_is_made_once_by_its_request_id_and_shown() {
    let server = Server::start().await;
    let application =
        pb::Application { name: "Billing".to_owned(), key_prefix: "bill".to_owned(), ..Default::default() };
    let request = pb::CreateApplicationRequest { application: Some(application), request_id: uuid() };
    let method = "ApplicationService/CreateApplication";
    let first: pb::CreateApplicationResponse = server.signed(&server.admin, method, &request).await.expect("create");
    let made = first.application.clone().expect("application");
    assert_eq!((made.name.as_str(), made.key_prefix.as_str(), made.revision), ("Billing", "bill", first.revision));
    assert_eq!(made.create_time, made.update_time);
    let again: pb::CreateApplicationResponse = server.signed(&server.admin, method, &request).await.expect("repeat");
    assert_eq!(again, first, "the same OK");
    assert_eq!(names(&server, &server.admin).await.len(), 2);
    assert_eq!(get(&server, &server.admin, &made.application_id).await.expect("get"), made);
    let server = server.restart().await;
    assert_eq!(get(&server, &server.admin, &made.application_id).await.expect("get"), made);
}

#[tokio::test]
async fn an_update_keeps_to_its_mask_and_etag() {
    let server = Server::start().await;
    let before = get(&server, &server.admin, &server.app).await.expect("get");
    server.setup.clock.advance(Duration::from_secs(1));
    let wish = pb::Application { name: "renamed".to_owned(), key_prefix: "acme".to_owned(), ..before.clone() };
    let renamed = update(&server, &server.admin, wish, &["name"]).await.expect("update");
    assert_eq!((renamed.name.as_str(), renamed.key_prefix.as_str()), ("renamed", ""));
    assert_eq!(renamed.create_time, before.create_time);
    assert_ne!((&renamed.update_time, &renamed.etag), (&before.update_time, &before.etag));

    let wish = pb::Application { key_prefix: "acme".to_owned(), etag: before.etag, ..renamed.clone() };
    let stale = update(&server, &server.admin, wish, &["key_prefix"]).await;
    assert_eq!(refusal(stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let wish = pb::Application {
        application_id: server.app.clone(),
        key_prefix: "acme".to_owned(),
        etag: renamed.etag,
        ..Default::default()
    };
    let populated = update(&server, &server.admin, wish, &[]).await.expect("populated fields");
    assert_eq!((populated.name.as_str(), populated.key_prefix.as_str()), ("renamed", "acme"));
    let wish = pb::Application { key_prefix: String::new(), ..populated };
    let cleared = update(&server, &server.admin, wish, &["key_prefix"]).await.expect("named and empty: none");
    assert_eq!(cleared.key_prefix, "");
}

#[tokio::test]
async fn a_key_prefix_shows_in_new_keys_and_old_ones_stay_good() {
    let server = Server::start().await;
    let old = server.key().await;
    for (prefix, start) in [("acme", "acme_sk_live_"), ("a234567890123456", "a234567890123456_sk_live_")] {
        let wish =
            pb::Application { application_id: server.app.clone(), key_prefix: prefix.to_owned(), ..Default::default() };
        update(&server, &server.admin, wish, &[]).await.expect("update");
        let new = server.key().await;
        assert!(new.secret.starts_with(start), "of {prefix}");
        assert!(new.key.expect("key").prefix.starts_with(start));
        assert_eq!(server.verdict(&new.secret).await, pb::Verdict::Valid);
        assert_eq!(server.verdict(&old.secret).await, pb::Verdict::Valid);
    }
}

#[tokio::test]
async fn a_caller_sees_the_applications_of_its_scope() {
    let server = Server::start().await;
    let (one, two) = (create(&server, &server.admin, "one").await, create(&server, &server.admin, "two").await);
    let (one, two) = (one.expect("one").application_id, two.expect("two").application_id);
    assert_eq!(names(&server, &server.admin).await, ["demo", "one", "two"], "oldest first");

    let viewer = hire_within(&server, 1, pb::Role::Viewer, &[&two, &server.app]).await;
    assert_eq!(names(&server, &viewer).await, ["demo", "two"]);
    let page = pb::ListApplicationsRequest { page_size: 1, ..Default::default() };
    let method = "ApplicationService/ListApplications";
    let first: pb::ListApplicationsResponse = server.by_token(&viewer, method, &page).await.expect("page");
    let next = pb::ListApplicationsRequest { page_token: first.next_page_token, ..page };
    let second: pb::ListApplicationsResponse = server.by_token(&viewer, method, &next).await.expect("page");
    assert_eq!((second.applications[0].name.as_str(), second.next_page_token.as_str()), ("two", ""));

    let nobody = hire_within(&server, 2, pb::Role::Viewer, &[]).await;
    assert!(names(&server, &nobody).await.is_empty());
    let outside = (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned());
    // There or not: who may not see it does not learn it.
    for id in [one.as_str(), "app_0000000000000000000000"] {
        assert_eq!(refusal(get(&server, &viewer, id).await), outside);
    }
    let unknown = get(&server, &server.admin, "app_0000000000000000000000").await;
    assert_eq!(refusal(unknown), (Code::NotFound, "APPLICATION_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_scoped_admin_changes_its_applications_and_makes_none() {
    let server = Server::start().await;
    let other = create(&server, &server.admin, "other").await.expect("application");
    let admin = hire_within(&server, 1, pb::Role::Admin, &[&server.app]).await;
    let wish = pb::Application { application_id: server.app.clone(), name: "mine".to_owned(), ..Default::default() };
    assert_eq!(update(&server, &admin, wish, &[]).await.expect("within").name, "mine");
    let outside = (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned());
    for application_id in [other.application_id.as_str(), "app_0000000000000000000000"] {
        let wish = pb::Application {
            application_id: application_id.to_owned(),
            name: "theirs".to_owned(),
            ..Default::default()
        };
        assert_eq!(refusal(update(&server, &admin, wish, &[]).await), outside);
    }
    assert_eq!(refusal(create(&server, &admin, "third").await), outside);
    assert_eq!(names(&server, &server.admin).await, ["mine", "other"]);
    let wish = pb::Application {
        application_id: "app_0000000000000000000000".to_owned(),
        name: "nobody's".to_owned(),
        ..Default::default()
    };
    let unknown = update(&server, &server.admin, wish, &[]).await;
    assert_eq!(refusal(unknown), (Code::NotFound, "APPLICATION_NOT_FOUND".to_owned()));
}
