//! `ListAuditEvents`: who sees which events, by what they are looked for, and in pages that
//! stay whole while others write.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use portcullis::pb;
use prost::Message as _;
use tonic::Code;

use crate::harness::{
    Rows, Server,
    audit::{LIST, rechained},
    refusal,
    verify::ttl,
};

fn all() -> pb::ListAuditEventsRequest {
    pb::ListAuditEventsRequest { page_size: 1000, ..Default::default() }
}

async fn seqs(server: &Server, request: &pb::ListAuditEventsRequest) -> Vec<i64> {
    server.audit(request).await.audit_events.iter().map(|event| event.seq).collect()
}

async fn other_application(server: &Server) -> String {
    let application = Some(pb::Application { name: "other".into(), ..Default::default() });
    let request = pb::CreateApplicationRequest { application, ..Default::default() };
    let made: pb::CreateApplicationResponse =
        server.signed(&server.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
    made.application.expect("application").application_id
}

#[tokio::test]
async fn a_caller_sees_the_events_of_its_applications_and_no_other() {
    let server = Server::start().await;
    let other = other_application(&server).await;
    server.key().await;
    server.key_with(|request| request.application_id = other.clone()).await;
    let viewer = pb::ServiceAccount {
        name: "viewer".into(),
        roles: vec![pb::Role::Viewer.into()],
        application_ids: vec![server.app.clone()],
        ..Default::default()
    };
    let viewer = server.admin.hire(&server, 1, viewer).await;
    let outside = pb::RevokeKeyRequest { application_id: other.clone(), ..Default::default() };
    server.signed::<_, ()>(&viewer, "KeyService/RevokeKey", &outside).await.expect_err("refused");

    let seen = server.audit_as(&viewer, &all()).await.expect("list");
    let mine = server.audit(&pb::ListAuditEventsRequest { application_id: server.app.clone(), ..all() }).await;
    assert_eq!(seen.audit_events, mine.audit_events);
    assert_eq!(seen.audit_events.len(), 2, "the application, and its key");
    assert_eq!((seen.head, mine.head.map(|head| head.seq)), (None, Some(server.last_event().await.seq)));
    let known: BTreeSet<_> = server.audit(&all()).await.audit_events.into_iter().map(|e| e.application_id).collect();
    assert_eq!(known, [None, Some(server.app.clone()), Some(other.clone())].into(), "who sees all sees these too");
    let theirs = pb::ListAuditEventsRequest { application_id: other.clone(), refused_only: true, ..all() };
    assert_eq!(server.audit(&theirs).await.audit_events[0].service_account_id, Some(viewer.account_id.clone()));

    let nobodys = format!("app_{:022}", 1);
    for foreign in [other.clone(), nobodys.clone()] {
        let request = pb::ListAuditEventsRequest { application_id: foreign, ..all() };
        let refused = refusal(server.audit_as(&viewer, &request).await);
        assert_eq!(refused, (Code::PermissionDenied, "APPLICATION_OUT_OF_SCOPE".to_owned()), "before any look-up");
    }
    let request = pb::ListAuditEventsRequest { application_id: nobodys, ..all() };
    let refused = refusal(server.audit_as(&server.admin, &request).await);
    assert_eq!(refused, (Code::NotFound, "APPLICATION_NOT_FOUND".to_owned()));
    let both = pb::ServiceAccount {
        name: "both".into(),
        roles: vec![pb::Role::Viewer.into()],
        application_ids: vec![server.app.clone(), other.clone()],
        ..Default::default()
    };
    let both = server.admin.hire(&server, 3, both).await;
    let seen = server.audit_as(&both, &all()).await.expect("list").audit_events;
    let theirs = |event: &pb::AuditEvent| event.application_id.is_some();
    let known: Vec<_> = server.audit(&all()).await.audit_events.into_iter().filter(theirs).collect();
    assert_eq!(seen, known, "of several applications");
    let nowhere = pb::ServiceAccount { name: "n".into(), roles: vec![pb::Role::Viewer.into()], ..Default::default() };
    let nowhere = server.admin.hire(&server, 2, nowhere).await;
    assert_eq!(server.audit_as(&nowhere, &all()).await.expect("list").audit_events, []);
}

#[tokio::test]
async fn events_are_found_by_what_they_are_about() {
    let server = Server::start().await;
    let editor = server.admin.hire_role(&server, 1, pb::Role::Editor, &[]).await;
    let key = server.key().await.key.expect("key");
    server.advance(Duration::from_secs(10)).await;
    let then = server.now();
    server.revoke(&key).await;
    server.advance(Duration::from_secs(10)).await;
    let greedy = pb::CreateKeyRequest {
        application_id: server.app.clone(),
        name: "k".into(),
        permissions: vec!["*".into()],
        ..Default::default()
    };
    server.signed::<_, ()>(&editor, "KeyService/CreateKey", &greedy).await.expect_err("refused");
    // 1, 2: the admin and the application. 3, 4: the editor and its key. 5, 6: the key. 7: refused.
    assert_eq!(seqs(&server, &all()).await, [7, 6, 5, 4, 3, 2, 1], "newest first");
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    type Filter<'a> = &'a dyn Fn(&mut pb::ListAuditEventsRequest);
    let filters: [(Filter<'_>, &[i64]); 16] = [
        (&|r| r.order = pb::AuditOrder::OldestFirst.into(), &[1, 2, 3, 4, 5, 6, 7]),
        (&|r| r.application_id = server.app.clone(), &[7, 6, 5, 2]),
        (&|r| r.resource_id = key.key_id.clone(), &[6, 5]),
        (&|r| r.resource_id = editor.account_id.clone(), &[4, 3]),
        (&|r| r.service_account_id = server.admin.account_id.clone(), &[6, 5, 4, 3]),
        (&|r| r.service_account_id = editor.account_id.clone(), &[7]),
        (&|r| r.method = "KeyService/RevokeKey".into(), &[6]),
        (&|r| r.method = "portcullis.v1.KeyService/CreateKey".into(), &[7, 5]),
        (&|r| r.method = "test".into(), &[2, 1]),
        (&|r| r.outcome = "GRANT_EXCEEDED".into(), &[7]),
        (&|r| (r.outcome, r.service_account_id) = ("OK".into(), editor.account_id.clone()), &[]),
        (&|r| r.refused_only = true, &[7]),
        (&|r| r.start_time = time(then.seconds()), &[7, 6]),
        (&|r| r.end_time = time(then.seconds()), &[5, 4, 3, 2, 1]),
        (&|r| (r.start_time, r.end_time) = (time(then.seconds()), time(then.seconds() + 1)), &[6]),
        (&|r| r.after_seq = 5, &[7, 6]),
    ];
    for (at, (filter, expected)) in filters.into_iter().enumerate() {
        let mut request = all();
        filter(&mut request);
        assert_eq!(seqs(&server, &request).await, expected, "{at}");
        // A page token is good for its own filter only.
        let first = server.audit(&pb::ListAuditEventsRequest { page_size: 1, ..request }).await.next_page_token;
        if !first.is_empty() {
            let bad = pb::ListAuditEventsRequest { page_token: first, ..all() };
            server.refuses(&server.admin, LIST, &bad, Code::InvalidArgument, "PAGE_TOKEN_INVALID").await;
        }
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_question_is_told_at_once() {
    let server = Server::start().await;
    let bad = pb::ListAuditEventsRequest {
        page_size: -1,
        application_id: "app_1".into(),
        resource_id: "key 1".into(),
        service_account_id: "sa_?".into(),
        method: "KeyService/Révoke".into(),
        outcome: "ERROR_REASON_GRANT_EXCEEDED".into(),
        start_time: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
        end_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        after_seq: -1,
        order: 3,
        ..Default::default()
    };
    let fields = [
        "after_seq",
        "application_id",
        "end_time",
        "method",
        "order",
        "outcome",
        "page_size",
        "resource_id",
        "service_account_id",
        "start_time",
    ];
    server.refuses_fields(LIST, &bad, &fields).await;
    for outcome in ["UNSPECIFIED", "ok", "NOPE"] {
        let bad = pb::ListAuditEventsRequest { outcome: outcome.into(), ..Default::default() };
        server.refuses_fields(LIST, &bad, &["outcome"]).await;
    }
}

/// All pages, one behind the other, of `size` events.
async fn paged(server: &Server, size: i32, order: pb::AuditOrder) -> Vec<pb::AuditEvent> {
    let mut request = pb::ListAuditEventsRequest { page_size: size, order: order.into(), ..Default::default() };
    let mut events = Vec::new();
    for _ in 0..1000 {
        let page = server.audit(&request).await;
        assert!(page.audit_events.len() <= usize::try_from(size).expect("a size"));
        events.extend(page.audit_events);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return events;
        }
    }
    panic!("no end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_have_no_gap_and_no_duplicate_while_many_write() {
    const WRITERS: i64 = 4;
    const EACH: i64 = 15;
    let server = Arc::new(Server::start().await);
    let before = server.last_event().await.seq;
    let writers = (0..WRITERS).map(|_| {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            for _ in 0..EACH {
                server.key().await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let dense = |seqs: &[i64]| seqs.windows(2).all(|pair| pair[1] - pair[0] == 1);
    let mut rounds = 0;
    while rounds == 0 || writers.iter().any(|writer| !writer.is_finished()) {
        let oldest: Vec<_> = paged(&server, 3, pb::AuditOrder::OldestFirst).await.iter().map(|e| e.seq).collect();
        assert!(oldest[0] == 1 && dense(&oldest), "{oldest:?}");
        let newest: Vec<_> = paged(&server, 3, pb::AuditOrder::NewestFirst).await.iter().rev().map(|e| e.seq).collect();
        assert!(newest[0] == 1 && dense(&newest), "{newest:?}");
        rounds += 1;
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    let all = paged(&server, 7, pb::AuditOrder::OldestFirst).await;
    assert_eq!(all.last().map(|event| event.seq), Some(before + WRITERS * EACH), "one event a mutation");
    let rows = crate::harness::Rows::of(&server).await;
    let links = rows.links().await;
    assert_eq!(links, rechained(links.iter().map(|link| link.record.clone())), "in one chain");
    let revisions: Vec<_> = links.iter().filter_map(|link| link.record.revision).collect();
    assert!(revisions.is_sorted(), "in the order of the history");
}

#[tokio::test]
async fn a_page_stays_below_what_grpc_clients_take() {
    const KEYS: usize = 75;
    let server = Server::start().await;
    let entries: Vec<String> = (0..100).map(|i| format!("{i:03}{}", "\"".repeat(500))).collect();
    for _ in 0..KEYS {
        server.key_with(|request| request.resource_allowlist = entries.clone()).await;
    }
    let mut request = pb::ListAuditEventsRequest { application_id: server.app.clone(), ..all() };
    let (mut pages, mut seen) = (0, 0);
    loop {
        let page = server.audit(&request).await;
        assert!(page.encoded_len() < 4 * 1024 * 1024, "{}", page.encoded_len());
        (pages, seen) = (pages + 1, seen + page.audit_events.len());
        if page.next_page_token.is_empty() {
            break;
        }
        assert!(page.encoded_len() > 2 * 1024 * 1024, "and is no smaller than it needs to be");
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, KEYS + 1);
    assert!(pages > 1, "{pages}");
}

#[tokio::test]
async fn what_a_job_does_is_an_event_of_each_key_and_seen_by_those_who_see_the_key() {
    let server = Server::start().await;
    let other = other_application(&server).await;
    let mine = server.key_with(|request| request.expiration = ttl(100)).await.key.expect("key");
    let theirs = server.key_with(|request| {
        request.application_id = other.clone();
        request.expiration = ttl(100);
    });
    let theirs = theirs.await.key.expect("key");
    let before = server.rows().await;
    server.pass(100).await;
    let after = server.rows().await;
    assert_eq!((after.revision, after.audits), (before.revision + 1, before.audits + 2), "one round, two events");
    for (at, (application, key, foreign)) in
        [(&server.app, &mine, &theirs), (&other, &theirs, &mine)].iter().enumerate()
    {
        let viewer = pb::ServiceAccount {
            name: "viewer".into(),
            roles: vec![pb::Role::Viewer.into()],
            application_ids: vec![(*application).clone()],
            ..Default::default()
        };
        let viewer = server.admin.hire(&server, at + 1, viewer).await;
        let about = |key: &pb::Key| pb::ListAuditEventsRequest { resource_id: key.key_id.clone(), ..all() };
        let seen = server.audit_as(&viewer, &about(key)).await.expect("list").audit_events;
        let [expiry, created] = seen.as_slice() else { panic!("its making and its end: {seen:?}") };
        assert!(created.method.ends_with("/CreateKey"));
        assert_eq!((expiry.method.as_str(), expiry.revision), ("jobs/keys", Some(after.revision)));
        assert_eq!(expiry.application_id.as_ref(), Some(*application));
        for (rows, expired) in [(&expiry.before, false), (&expiry.after, true)] {
            let rows: serde_json::Value = serde_json::from_str(rows.as_deref().expect("rows")).expect("JSON");
            assert_eq!(rows.as_array().map(Vec::len), Some(1), "of this key alone");
            assert_eq!((&rows[0]["key_id"], &rows[0]["expired"]), (&key.key_id.as_str().into(), &expired.into()));
        }
        assert_eq!(server.audit_as(&viewer, &about(foreign)).await.expect("list").audit_events, []);
    }
    Rows::of(&server).await.are_whole().await;
}
