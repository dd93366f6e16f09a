use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn record(seq: i64) -> Record {
    Record {
        seq,
        audit_id: Uuid::from_u128(seq.unsigned_abs().into()),
        time: 1_000 * seq,
        revision: Some(seq),
        service_account_id: Some("sa_1".to_owned()),
        kid: None,
        method: "M/m".to_owned(),
        request_id: format!("r{seq}"),
        peer: "127.0.0.1:1".to_owned(),
        outcome: "OK".to_owned(),
        application_id: None,
        resource: None,
        before: None,
        after: Some(format!("[{seq}]")),
    }
}

/// A log of `count` events, as a server writes it.
fn written(count: i64) -> Vec<Link> {
    let mut previous = BEGIN.to_vec();
    let mut write = |seq| {
        let record = record(seq);
        let hash = record.hash(&previous).to_vec();
        Link { record, previous: std::mem::replace(&mut previous, hash.clone()), hash }
    };
    (1..=count).map(&mut write).collect()
}

fn head(links: &[Link]) -> Head {
    let last = links.last().expect("an event");
    Head { log_id: "log".to_owned(), seq: last.record.seq, hash: last.hash.clone(), loose: 0 }
}

fn anchor(links: &[Link], seq: usize) -> Anchor {
    let link = &links[seq - 1];
    Anchor { name: format!("c{seq}"), log_id: "log".to_owned(), seq: link.record.seq, hash: link.hash.clone() }
}

fn found_with(links: &[Link], head: Head, anchors: Vec<Anchor>) -> Vec<Finding> {
    let mut verifier = Verifier::new(anchors);
    links.iter().for_each(|link| verifier.follow(link));
    verifier.end(head).findings
}

fn found(links: &[Link], as_written: &[Link]) -> Vec<Finding> {
    found_with(links, head(as_written), Vec::new())
}

#[test]
fn what_was_written_is_in_order() {
    let links = written(30);
    let anchors = [30, 1, 7, 7].map(|seq| anchor(&links, seq)).to_vec();
    assert_eq!(found_with(&links, head(&links), anchors), []);
    let nothing = Head { log_id: String::new(), seq: 0, hash: BEGIN.to_vec(), loose: 0 };
    assert_eq!(found_with(&[], nothing, Vec::new()), []);
}

#[test]
fn one_wrong_is_one_finding_at_its_place() {
    let (links, n) = (written(30), 12_usize);
    let seq = 12;
    let mut edited = links.clone();
    edited[n - 1].record.outcome = "GRANT_EXCEEDED".to_owned();
    assert_eq!(found(&edited, &links), [Finding::Edited { seq }]);
    let last = edited[n - 1].clone();
    edited[n - 1].hash = last.record.hash(&last.previous).to_vec();
    assert_eq!(found(&edited, &links), [Finding::Unlinked { seq: seq + 1 }], "with its hash");

    let mut removed = links.clone();
    removed.drain(n - 1..n + 1);
    assert_eq!(found(&removed, &links), [Finding::Removed { first: 12, last: 13 }]);
    for (place, link) in (1..).zip(&mut removed) {
        link.record.seq = place;
    }
    let told = found(&removed, &links);
    let moved = Finding::Moved { first: 12, last: 28, written_as: 14 };
    assert_eq!(told, [moved, Finding::Cut { last: 28, head: 30 }], "and renumbered");

    let mut swapped = links.clone();
    swapped.swap(n - 1, n + 3);
    (swapped[n - 1].record.seq, swapped[n + 3].record.seq) = (12, 16);
    let moved = |first, written_as| Finding::Moved { first, last: first, written_as };
    assert_eq!(found(&swapped, &links), [moved(12, 16), moved(16, 12)]);

    let mut cut = links.clone();
    cut.truncate(25);
    assert_eq!(found(&cut, &links), [Finding::Cut { last: 25, head: 30 }]);
    assert_eq!(found(&cut, &cut), [], "with the head: nobody can know without a checkpoint");
    let since = |other_history| Finding::CutSince { checkpoint: "c26".to_owned(), seq: 26, last: 25, other_history };
    assert_eq!(found_with(&cut, head(&cut), vec![anchor(&links, 26)]), [since(false)]);
    let elsewhere = Anchor { log_id: "other".to_owned(), ..anchor(&links, 26) };
    assert_eq!(found_with(&cut, head(&cut), vec![elsewhere]), [since(true)]);
    assert_eq!(found(&links, &cut), [Finding::Beyond { last: 30, head: 25 }]);
    let loose = Head { loose: 2, ..head(&links) };
    assert_eq!(found_with(&links, loose, Vec::new()), [Finding::Loose { rows: 2 }]);
}

#[test]
fn a_log_that_was_rewritten_from_a_place_on_holds_to_the_checkpoints_before_it() {
    let links = written(30);
    let mut rewritten = links[..10].to_vec();
    for seq in 11..=30 {
        let (previous, record) = (rewritten[rewritten.len() - 1].hash.clone(), Record { time: 1, ..record(seq) });
        rewritten.push(Link { hash: record.hash(&previous).to_vec(), record, previous });
    }
    assert_eq!(found(&rewritten, &rewritten), [], "nobody can know without a checkpoint");
    let anchors = [10, 11, 30].map(|seq| anchor(&links, seq)).to_vec();
    let told = [11, 30].map(|seq| Finding::Rewritten { checkpoint: format!("c{seq}"), seq, other_history: false });
    assert_eq!(found_with(&rewritten, head(&rewritten), anchors), told);
}

#[test]
fn what_is_wrong_everywhere_is_counted_and_not_kept() {
    let links = written(100);
    let mut edited = links.clone();
    edited.iter_mut().for_each(|link| link.record.peer.clear());
    let mut verifier = Verifier::new(vec![Anchor { hash: vec![1], ..anchor(&links, 100) }]);
    edited.iter().for_each(|link| verifier.follow(link));
    let report = verifier.end(head(&links));
    assert_eq!((report.findings.len(), report.more), (MAX_FINDINGS + 1, 80), "and the checkpoint's is told");
}

proptest! {
    /// Whatever is done to a log, unless it is nothing, is found.
    #[test]
    fn no_other_order_nor_choice_of_the_events_passes(places in proptest::collection::vec(0..12_usize, 0..14)) {
        let links = written(12);
        let bent: Vec<Link> = (1..).zip(&places).map(|(seq, from)| {
            let mut link = links[*from].clone();
            link.record.seq = seq;
            link
        }).collect();
        let is_whole = places.iter().copied().eq(0..12);
        prop_assert_eq!(found(&bent, &links).is_empty(), is_whole);
    }
}
