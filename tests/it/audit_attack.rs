//! The audit log, attacked by somebody who can write the database: what `portcullis audit
//! verify` finds by itself, and what only against a checkpoint that was kept elsewhere.

use std::collections::BTreeSet;

use portcullis::{
    chain::{Anchor, Finding, Link, Record},
    pb,
};

use crate::harness::{
    Rows, Server,
    audit::{anchor, rechained},
    mask,
};

/// The event that is attacked: a change of a key, with all of its fields set.
const SEQ: i64 = 21;

/// A log of some 40 events of every kind, as it was written.
struct Log {
    server: Server,
    rows: Rows,
    written: Vec<Link>,
}

impl Log {
    async fn write() -> Self {
        let server = Server::start_by_the_clock().await;
        let rename = async |key: &pb::Key, name: &str| {
            let wish = pb::Key { name: name.to_owned(), etag: String::new(), ..key.clone() };
            let update = pb::UpdateKeyRequest { key: Some(wish), update_mask: mask(&["name"]), wait: 0 };
            let _: pb::UpdateKeyResponse =
                server.signed(&server.admin, "KeyService/UpdateKey", &update).await.expect("update");
        };
        server.admin.hire_role(&server, 1, pb::Role::Viewer, &[]).await;
        for _ in 0..8 {
            let key = server.key().await.key.expect("key");
            rename(&key, "renamed").await;
            rename(&key, "it's renamed").await;
            let stale =
                pb::RevokeKeyRequest { application_id: server.app.clone(), etag: "r0".into(), ..Default::default() };
            server.signed::<_, ()>(&server.admin, "KeyService/RevokeKey", &stale).await.expect_err("refused");
            server.revoke(&key).await;
        }
        let rows = Rows::of(&server).await;
        let written = rows.links().await;
        assert_eq!(written.len(), 44);
        let Record { revision, before, after, application_id, .. } = &written[at(SEQ)].record;
        assert!(revision.is_some() && before.is_some() && after.is_some() && application_id.is_some());
        Self { server, rows, written }
    }

    fn last(&self) -> &Link {
        self.written.last().expect("an event")
    }

    async fn restore(&self) {
        self.rows.put_links(&self.written).await;
        self.rows.put_audit_head(self.last()).await;
    }

    async fn found(&self) -> Vec<Finding> {
        self.server.found(&[]).await
    }

    /// What is found once the table is this; afterwards it is as it was.
    async fn found_in(&self, links: &[Link]) -> Vec<Finding> {
        self.rows.put_links(links).await;
        let found = self.found().await;
        self.restore().await;
        found
    }

    /// What is found once both the table and the head are this, without and with a checkpoint.
    async fn found_with_head(&self, links: &[Link], checkpoint: &Anchor) -> [Vec<Finding>; 2] {
        self.rows.put_links(links).await;
        self.rows.put_audit_head(links.last().expect("an event")).await;
        let found = [self.found().await, self.server.found(std::slice::from_ref(checkpoint)).await];
        self.restore().await;
        found
    }
}

/// Where the event of this place stands in a list.
fn at(seq: i64) -> usize {
    usize::try_from(seq - 1).expect("a place")
}

fn records(links: &[Link]) -> Vec<Record> {
    links.iter().map(|link| link.record.clone()).collect()
}

#[tokio::test]
async fn an_edited_removed_or_moved_event_is_found_and_a_cut_tail_against_a_checkpoint() {
    let log = Log::write().await;
    assert_eq!(log.found().await, [], "what was written is whole");
    let checkpoint = anchor(&log.server.verified(Vec::new()).await.head);
    assert_eq!(log.server.found(std::slice::from_ref(&checkpoint)).await, []);

    log.rows.change("UPDATE audit_event SET outcome = 'KEY_NOT_FOUND' WHERE seq = 21").await;
    assert_eq!(log.found().await, [Finding::Edited { seq: SEQ }]);
    log.restore().await;

    let mut removed = log.written.clone();
    removed.remove(at(SEQ));
    assert_eq!(log.found_in(&removed).await, [Finding::Removed { first: SEQ, last: SEQ }]);

    let mut moved = log.written.clone();
    (moved[at(5)].record.seq, moved[at(6)].record.seq) = (6, 5);
    let found = log.found_in(&moved).await;
    let is = |first, written_as| Finding::Moved { first, last: first, written_as };
    assert!(found.contains(&is(5, 6)) && found.contains(&is(6, 5)), "{found:?}");

    let [without, with] = log.found_with_head(&log.written[..at(41)], &checkpoint).await;
    assert_eq!(without, [], "nobody can know");
    let cut = Finding::CutSince { checkpoint: checkpoint.name.clone(), seq: 44, last: 40, other_history: false };
    assert_eq!(with, [cut]);
    assert_eq!(log.found().await, [], "and it is as it was");
}

#[tokio::test]
async fn an_edit_of_any_column_is_found_at_its_event() {
    let log = Log::write().await;
    let texts = [
        "service_account_id",
        "kid",
        "method",
        "request_id",
        "peer",
        "outcome",
        "application_id",
        "resource",
        "before",
        "after",
    ];
    let nullable = ["revision", "service_account_id", "kid", "application_id", "resource", "before", "after"];
    let mut edits: Vec<(&str, String)> = Vec::new();
    for column in texts {
        let quoted = format!("\"{column}\"");
        edits.push((column, format!("{quoted} = {quoted} || ' '")));
        edits.push((column, format!("{quoted} = substr({quoted}, 2)")));
        edits.push((column, format!("{quoted} = ''")));
        edits.push((column, format!("{quoted} = '~' || substr({quoted}, 2)")));
    }
    edits.extend(nullable.map(|column| (column, format!("\"{column}\" = NULL"))));
    for column in ["time", "revision"] {
        edits.extend([1, -1].map(|by| (column, format!("{column} = {column} + {by}"))));
    }
    let another = uuid::Uuid::from_u128(rand::random());
    edits.push(("audit_id", format!("audit_id = {}", log.rows.uuid(another))));
    let longer = [&*log.written[at(SEQ)].hash, &[0]].concat();
    let [zeros, empty, longer] = [&[0; 32], &[][..], &longer].map(|bytes| log.rows.blob(bytes));
    for column in ["hash", "previous_hash"] {
        for value in ["randomblob(32)", &zeros, &empty, "NULL", &longer, "substr(hash, 1, 31)"] {
            edits.push((column, format!("{column} = {value}")));
        }
    }
    // What reads the same in JSON is another text.
    edits.push(("after", "\"after\" = replace(\"after\", ',', ', ')".to_owned()));
    // Letters that move to the next column.
    edits.push((
        "method",
        "request_id = substr(method, length(method)) || request_id, method = substr(method, 1, length(method) - 1)"
            .into(),
    ));
    edits.push(("before", "\"before\" = \"after\", \"after\" = \"before\"".to_owned()));
    edits.push(("before", "\"before\" = NULL, resource = \"before\"".to_owned()));

    let mut edited = BTreeSet::from(["seq".to_owned()]);
    for (column, set) in &edits {
        let value =
            async || log.rows.texts(&format!("SELECT quote(\"{column}\") FROM audit_event WHERE seq = {SEQ}")).await;
        let before = value().await;
        log.rows.change(&format!("UPDATE audit_event SET {set} WHERE seq = {SEQ}")).await;
        assert_ne!(value().await, before, "{set}");
        assert_eq!(log.found().await, [Finding::Edited { seq: SEQ }], "{set}");
        log.restore().await;
        edited.insert((*column).to_owned());
    }
    let columns = log.rows.columns("audit_event").await;
    assert_eq!(edited, columns.into_iter().collect(), "no column is left out");

    for out in ["NULL", "0", "-21"] {
        log.rows.change(&format!("UPDATE audit_event SET seq = {out} WHERE seq = {SEQ}")).await;
        let removed = Finding::Removed { first: SEQ, last: SEQ };
        assert_eq!(log.found().await, [removed, Finding::Loose { rows: 1 }], "{out}: out of the chain");
        log.restore().await;
    }
    log.rows.change("UPDATE audit_event SET seq = 60 WHERE seq = 21").await;
    let found = log.found().await;
    assert!(found.contains(&Finding::Moved { first: 60, last: 60, written_as: SEQ }), "{found:?}");
    assert!(found.contains(&Finding::Beyond { last: 60, head: 44 }), "{found:?}");
    log.restore().await;
    assert_eq!(log.found().await, []);
}

/// Columns of any type hold anything there.
mod sqlite {
    use super::{Log, SEQ};

    #[tokio::test]
    async fn what_does_not_read_does_not_pass() {
        let log = Log::write().await;
        for nonsense in ["time = 'noon'", "method = x'ff'", "audit_id = 'x'"] {
            log.rows.change(&format!("UPDATE audit_event SET {nonsense} WHERE seq = {SEQ}")).await;
            assert!(!log.server.reads_its_log().await, "{nonsense}");
            log.restore().await;
        }
        assert_eq!(log.found().await, []);
    }
}

#[tokio::test]
async fn an_event_that_was_forged_with_its_hash_does_not_fit_between_the_others() {
    let log = Log::write().await;
    let mut edited = log.written.clone();
    let link = &mut edited[at(SEQ)];
    link.record.service_account_id = Some("sa_0000000000000000000001".to_owned());
    link.hash = link.record.hash(&link.previous).to_vec();
    assert_eq!(log.found_in(&edited).await, [Finding::Unlinked { seq: SEQ + 1 }], "hashed anew, without its followers");

    let mut last = log.written.clone();
    let link = last.last_mut().expect("an event");
    link.record.peer = "192.0.2.1:1".to_owned();
    link.hash = link.record.hash(&link.previous).to_vec();
    assert_eq!(log.found_in(&last).await, [Finding::Head { seq: 44 }], "nor at the end");

    let mut put_in = log.written.clone();
    for link in &mut put_in[at(SEQ)..] {
        link.record.seq += 1;
    }
    let previous = put_in[at(SEQ - 1)].hash.clone();
    let audit_id = uuid::Uuid::from_u128(1);
    let forged =
        Record { audit_id, method: "portcullis.v1.KeyService/GetKey".into(), ..log.written[at(SEQ)].record.clone() };
    let forged = Link { hash: forged.hash(&previous).to_vec(), record: forged, previous };
    put_in.insert(at(SEQ), forged.clone());
    let moved = Finding::Moved { first: SEQ + 1, last: 45, written_as: SEQ };
    assert_eq!(log.found_in(&put_in).await, [moved, Finding::Beyond { last: 45, head: 44 }]);

    let mut beside = log.written.clone();
    beside.push(Link { record: Record { seq: 45, ..forged.record.clone() }, ..forged });
    let found = log.found_in(&beside).await;
    assert!(found.contains(&Finding::Beyond { last: 45, head: 44 }), "{found:?}");

    let loose = log.rows.uuid(uuid::Uuid::from_u128(rand::random()));
    log.rows
        .change(&format!(
            "INSERT INTO audit_event (audit_id, time, method, request_id, peer, outcome) \
             VALUES ({loose}, 0, 'M/m', '', '', 'OK')"
        ))
        .await;
    assert_eq!(log.found().await, [Finding::Loose { rows: 1 }], "a row without a place");
}

#[tokio::test]
async fn events_that_were_removed_or_reordered_are_found_renumbered_or_not() {
    let log = Log::write().await;
    let renumbered = |mut links: Vec<Link>| {
        (1..).zip(&mut links).for_each(|(seq, link)| link.record.seq = seq);
        links
    };
    for (first, last) in [(1, 1), (1, 3), (SEQ, SEQ), (SEQ, SEQ + 4), (43, 43)] {
        let mut removed = log.written.clone();
        removed.drain(at(first)..=at(last));
        assert_eq!(log.found_in(&removed).await, [Finding::Removed { first, last }]);
        let (count, end) = (last - first + 1, 44 - (last - first + 1));
        let moved = Finding::Moved { first, last: end, written_as: first + count };
        assert_eq!(log.found_in(&renumbered(removed)).await, [moved, Finding::Cut { last: end, head: 44 }]);
    }
    let is_moved = |found: &[Finding], seq: i64| {
        found.iter().any(|f| matches!(f, Finding::Moved { first, last, .. } if (*first..=*last).contains(&seq)))
    };
    for (one, other) in [(1, 2), (SEQ, SEQ + 1), (3, 40), (43, 44)] {
        let mut swapped = log.written.clone();
        swapped.swap(at(one), at(other));
        let found = log.found_in(&renumbered(swapped)).await;
        assert!(is_moved(&found, one) && is_moved(&found, other), "{one}, {other}: {found:?}");
    }
    let reversed = log.found_in(&renumbered(log.written.iter().rev().cloned().collect())).await;
    assert!(reversed.len() > 10, "{reversed:?}");
    let twice = [&log.written[..at(SEQ)], &log.written[at(SEQ - 1)..]].concat();
    let twice: Vec<Link> = (1..)
        .zip(twice)
        .map(|(seq, mut link)| {
            link.record.audit_id = uuid::Uuid::from_u128(u128::try_from(seq).expect("positive"));
            link
        })
        .collect();
    assert!(!log.found_in(&renumbered(twice)).await.is_empty());
    assert_eq!(log.found_in(&log.written[..at(40)]).await, [Finding::Cut { last: 39, head: 44 }], "a cut tail");
}

#[tokio::test]
async fn a_log_that_is_rewritten_as_a_whole_holds_to_no_checkpoint() {
    let log = Log::write().await;
    let checkpoint = anchor(&log.server.verified(Vec::new()).await.head);
    let name = || checkpoint.name.clone();
    let rewritten = |seq| Finding::Rewritten { checkpoint: name(), seq, other_history: false };
    let cut = |last| Finding::CutSince { checkpoint: name(), seq: 44, last, other_history: false };

    let mut edited = records(&log.written);
    edited[at(SEQ)].service_account_id = None;
    let mut removed = records(&log.written);
    removed.remove(at(SEQ));
    let mut swapped = records(&log.written);
    swapped.swap(at(SEQ), at(SEQ + 1));
    for (what, records, expected) in
        [("edited", edited, rewritten(44)), ("removed", removed, cut(43)), ("swapped", swapped, rewritten(44))]
    {
        let [without, with] = log.found_with_head(&rechained(records), &checkpoint).await;
        assert_eq!(without, [], "{what}, and everything hashed anew: nobody can know");
        assert_eq!(with, [expected], "{what}");
    }
    let [without, with] = log.found_with_head(&log.written[..at(44)], &checkpoint).await;
    assert_eq!((without, with), (Vec::new(), vec![cut(43)]), "the tail and the head");

    // An older copy, which was written on: the checkpoint's place holds another event.
    log.rows.put_links(&log.written[..at(40)]).await;
    log.rows.put_audit_head(&log.written[at(39)]).await;
    for _ in 0..6 {
        log.server.key().await;
    }
    assert_eq!(log.found().await, [], "the server goes on from what is there");
    assert_eq!(log.server.found(std::slice::from_ref(&checkpoint)).await, [rewritten(44)]);
    let early = Anchor { seq: 39, hash: log.written[at(39)].hash.clone(), ..checkpoint.clone() };
    assert_eq!(log.server.found(&[early]).await, [], "up to where it is the same");
    let elsewhere = Anchor { log_id: "another".to_owned(), ..checkpoint };
    let found = log.server.found(&[elsewhere]).await;
    assert!(found[0].to_string().contains("of another history"), "{found:?}");
}
