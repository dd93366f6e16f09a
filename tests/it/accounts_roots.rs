//! The last one who can administer everything stays.

use portcullis::pb;
use tonic::{Code, Status};

use crate::harness::{Persona, Server, refusal, test_key};

type Answer = Result<pb::ServiceAccount, Status>;

/// Every way in which `root` would be one no more, tried by `by`.
async fn every_way(server: &Server, by: &Persona, root: &Persona, mut each: impl AsyncFnMut(&str, Answer)) {
    let id = root.account_id.as_str();
    each("remove its key", by.remove_key(server, id, &root.kid()).await).await;
    each("disable", by.disable_account(server, id).await).await;
    let kept = pb::ServiceAccount {
        name: "root".to_owned(),
        roles: vec![pb::Role::Admin.into()],
        all_applications: true,
        grantable_permissions: vec!["*".to_owned()],
        ..Default::default()
    };
    let wishes: [(&str, &[&str], pb::ServiceAccount); 7] = [
        ("disable by update", &["disabled"], pb::ServiceAccount { disabled: true, ..kept.clone() }),
        ("other roles", &["roles"], pb::ServiceAccount { roles: vec![2, 3, 4, 5], ..kept.clone() }),
        ("no roles", &["roles"], pb::ServiceAccount { roles: vec![], ..kept.clone() }),
        (
            "some applications",
            &["all_applications"],
            pb::ServiceAccount { all_applications: false, application_ids: vec![server.app.clone()], ..kept.clone() },
        ),
        (
            "narrower grants",
            &["grantable_permissions"],
            pb::ServiceAccount {
                grantable_permissions: vec!["tasks:*".to_owned(), "*:read".to_owned()],
                ..kept.clone()
            },
        ),
        ("no grants", &["grantable_permissions"], pb::ServiceAccount { grantable_permissions: vec![], ..kept.clone() }),
        ("all at once", &["*"], pb::ServiceAccount { disabled: true, roles: vec![], ..kept }),
    ];
    for (way, paths, wish) in wishes {
        each(way, by.update_account(server, id, paths, wish).await).await;
    }
}

async fn second_root(server: &Server) -> Persona {
    let wish = pb::ServiceAccount {
        name: "second".to_owned(),
        roles: vec![pb::Role::Admin.into()],
        all_applications: true,
        grantable_permissions: vec!["admin:*".to_owned()],
        ..Default::default()
    };
    server.admin.hire(server, 1, wish).await
}

async fn nothing_ends_the_last_root(server: &Server) {
    let before = server.admin.get_account(server, &server.admin.account_id).await.expect("get");
    every_way(server, &server.admin, &server.admin, async |way, answer| {
        assert_eq!(refusal(answer), (Code::FailedPrecondition, "LAST_ADMIN_KEY".to_owned()), "{way}");
    })
    .await;
    let after = server.admin.get_account(server, &server.admin.account_id).await.expect("get");
    assert_eq!(after, before, "nothing is written");
}

#[tokio::test]
async fn the_last_admin_key_stays_whatever_is_tried() {
    let server = Server::start().await;
    nothing_ends_the_last_root(&server).await;
    // What keeps it a root is allowed.
    let id = server.admin.account_id.clone();
    let wish = pb::ServiceAccount {
        grantable_permissions: vec!["*:*".to_owned()],
        name: "r".to_owned(),
        ..Default::default()
    };
    server.admin.update_account(&server, &id, &["grantable_permissions", "name"], wish).await.expect("still all");
    server.admin.add_key(&server, &id, test_key(1).public().to_pem()).await.expect("a second key");
    server.admin.remove_key(&server, &id, &server.admin.kid()).await.expect("of two keys one may go");
    let left = server.admin.with_key(1);
    let last = left.remove_key(&server, &id, &left.kid()).await;
    assert_eq!(refusal(last).1, "LAST_ADMIN_KEY");
}

#[tokio::test]
async fn who_cannot_act_for_everything_is_no_second_root() {
    let server = Server::start().await;
    let second = second_root(&server).await;
    let id = second.account_id.as_str();
    // A root itself, it can lose each of what makes it one, and does not count then.
    let back = pb::ServiceAccount {
        name: "second".to_owned(),
        roles: vec![pb::Role::Admin.into()],
        all_applications: true,
        grantable_permissions: vec!["*".to_owned()],
        ..Default::default()
    };
    every_way(&server, &server.admin, &second, async |way, answer| {
        answer.unwrap_or_else(|status| panic!("{way}: {status:?}"));
        let remove = server.admin.remove_key(&server, &server.admin.account_id, &server.admin.kid()).await;
        assert_eq!(refusal(remove).1, "LAST_ADMIN_KEY", "{way}");
        server.admin.update_account(&server, id, &["*"], back.clone()).await.expect("whole again");
        server.admin.add_key(&server, id, second.key.public().to_pem()).await.expect("with its key");
    })
    .await;
    the_first_may_go(&server, &second).await;
}

/// With a second root, the first may go.
async fn the_first_may_go(server: &Server, second: &Persona) {
    server.admin.disable_account(server, &server.admin.account_id).await.expect("another is there");
    let last = second.disable_account(server, &second.account_id).await;
    assert_eq!(refusal(last).1, "LAST_ADMIN_KEY", "and is the last now");
}
