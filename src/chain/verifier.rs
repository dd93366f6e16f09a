use super::{BEGIN, Finding, Link, Record};
use crate::guard::{self, Guard};

/// How many findings are kept; the others are counted.
pub const MAX_FINDINGS: usize = 20;
/// How far around its place it is looked where an event was written. So many hashes at most
/// are made for one that was edited.
const LOOK_AROUND: i64 = 1000;

/// The end of the chain as the server keeps it beside the events, in the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The name of the history.
    pub log_id: String,
    /// The last place.
    pub seq: i64,
    pub hash: Vec<u8>,
    /// Rows without a place.
    pub loose: i64,
}

/// What a checkpoint says: this event had this hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What the checkpoint is called, for findings.
    pub name: String,
    pub log_id: String,
    pub seq: i64,
    pub hash: Vec<u8>,
}

/// What came of verifying a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub head: Head,
    /// The first [`MAX_FINDINGS`]; none: the log is what was written.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub more: u64,
}

/// Follows a chain from its first event to its last, and notes whatever is wrong.
#[derive(Debug)]
pub struct Verifier {
    seq: i64,
    /// Of the last event; none where its own fields do not give it, so that nothing can be held
    /// against it.
    hash: Option<Vec<u8>>,
    /// Not yet reached, the nearest last.
    anchors: Vec<Anchor>,
    /// Of those that were reached, and did not hold.
    broken: Vec<Anchor>,
    findings: Vec<Finding>,
    more: u64,
}

impl Verifier {
    #[must_use]
    pub fn new(mut anchors: Vec<Anchor>) -> Self {
        anchors.sort_by_key(|anchor| std::cmp::Reverse(anchor.seq));
        Self { seq: 0, hash: Some(BEGIN.to_vec()), anchors, broken: Vec::new(), findings: Vec::new(), more: 0 }
    }

    /// Up to where it came.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Takes the next event. What is wrong with it is noted once, and not again with the next.
    pub fn follow(&mut self, link: &Link) {
        let seq = link.record.seq;
        if seq <= self.seq {
            return self.note(Finding::Disordered { seq, after: self.seq });
        }
        let follows = seq == self.seq + 1;
        if !follows {
            self.note(Finding::Removed { first: self.seq + 1, last: seq - 1 });
        }
        let is_as_written = link.record.hash(&link.previous)[..] == link.hash;
        let before = self.hash.take().filter(|_| follows);
        if guard::on(Guard::Chain) {
            if !is_as_written {
                self.note_change(link);
            } else if before.is_some_and(|hash| hash != link.previous) {
                self.note(Finding::Unlinked { seq });
            }
        }
        self.seq = seq;
        self.hash = is_as_written.then(|| link.hash.clone());
        while let Some(anchor) = self.anchors.pop_if(|anchor| anchor.seq <= seq) {
            if anchor.seq != seq || anchor.hash != link.hash {
                self.broken.push(anchor);
            }
        }
    }

    /// Says that this was all, and what the server says of the end.
    #[must_use]
    pub fn end(mut self, head: Head) -> Report {
        let (last, log_id) = (self.seq, head.log_id.clone());
        if last < head.seq {
            self.note(Finding::Cut { last, head: head.seq });
        } else if last > head.seq {
            self.note(Finding::Beyond { last, head: head.seq });
        } else if self.hash.as_ref().is_some_and(|hash| *hash != head.hash) {
            self.note(Finding::Head { seq: last });
        }
        if head.loose > 0 {
            self.note(Finding::Loose { rows: head.loose });
        }
        // Not told by MAX_FINDINGS: whoever gave a checkpoint hears what came of it.
        let mut findings = self.findings;
        for Anchor { name: checkpoint, log_id: of, seq, .. } in self.broken {
            findings.push(Finding::Rewritten { checkpoint, seq, other_history: of != log_id });
        }
        for Anchor { name: checkpoint, log_id: of, seq, .. } in self.anchors {
            findings.push(Finding::CutSince { checkpoint, seq, last, other_history: of != log_id });
        }
        Report { head, findings, more: self.more }
    }

    /// An event whose fields do not give its hash: perhaps they do in another place.
    fn note_change(&mut self, link: &Link) {
        let seq = link.record.seq;
        // Where all behind a place were moved by as much, one look is enough for each.
        if let Some(Finding::Moved { first, last, written_as }) = self.findings.last_mut()
            && *last + 1 == seq
            && is_of(link, seq - *first + *written_as)
        {
            *last = seq;
            return;
        }
        if self.findings.len() >= MAX_FINDINGS {
            self.more += 1;
            return;
        }
        let near = (1..=LOOK_AROUND).flat_map(|away| [seq + away, seq - away]).filter(|place| *place > 0);
        self.note(match near.into_iter().find(|place| is_of(link, *place)) {
            Some(written_as) => Finding::Moved { first: seq, last: seq, written_as },
            None => Finding::Edited { seq },
        });
    }

    fn note(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// Whether the event was written as the one in this place.
fn is_of(link: &Link, place: i64) -> bool {
    Record { seq: place, ..link.record.clone() }.hash(&link.previous)[..] == link.hash
}

#[cfg(test)]
mod tests;
