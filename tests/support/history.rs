//! What the clients of a deployment saw, and whether it can be. Pure: times are those of one
//! clock that never steps, in nanoseconds.
//!
//! A call stands for the time from when it was sent to when its answer came: it took effect
//! at some moment between, and where no answer came, at any moment afterwards or never.

use std::collections::BTreeMap;

/// A process that answers: a replica, and which of its runs.
pub(crate) type Process = (usize, u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    Revoked,
    NotFound,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// OK, or not known.
    Create(bool),
    Revoke(bool),
    /// None: an error, which says nothing of the key.
    Verify(Option<Verdict>),
}

/// One call of a client, about one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) key: usize,
    /// Who was asked.
    pub(crate) replica: usize,
    /// Who answered; None where that is not certain.
    pub(crate) process: Option<Process>,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) call: Call,
}

/// What cannot be.
#[derive(Debug, Clone)]
pub(crate) enum Violation {
    /// A mutation had returned OK, and a call that was sent afterwards was answered by what was before.
    Stale { mutation: Record, answer: Record },
    /// A process that had answered REVOKED answered VALID.
    Back { before: Record, answer: Record },
    /// REVOKED, and nobody had asked for that.
    OutOfNothing { answer: Record },
    /// REVOKED was answered, and it did not stick: this was answered when all had settled.
    Undone { before: Record, answer: Record },
}

/// Judges all calls. Whatever was sent after `settled` must rest on all that anybody was told.
pub(crate) fn judge(records: &[Record], settled: u64) -> Vec<Violation> {
    let mut keys: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in records {
        keys.entry(record.key).or_default().push(record);
    }
    keys.values().flat_map(|records| judge_key(records, settled)).collect()
}

fn judge_key(records: &[&Record], settled: u64) -> Vec<Violation> {
    let first = |is_it: &dyn Fn(&Record) -> bool| {
        let those = records.iter().filter(|record| is_it(record));
        those.min_by_key(|record| record.answered).map(|record| **record)
    };
    let created = first(&|record| record.call == Call::Create(true));
    let revoked = first(&|record| record.call == Call::Revoke(true));
    let told = first(&|record| is_verdict(record, Verdict::Revoked));
    let asked = records.iter().filter(|record| matches!(record.call, Call::Revoke(_))).map(|record| record.sent).min();
    let mut told_by: BTreeMap<Process, Record> = BTreeMap::new();
    for record in records.iter().filter(|record| is_verdict(record, Verdict::Revoked)) {
        let Some(process) = record.process else { continue };
        let before = told_by.entry(process).or_insert(**record);
        if record.answered < before.answered {
            *before = **record;
        }
    }
    let mut violations = Vec::new();
    for answer in records.iter().map(|record| **record) {
        let is_after = |before: &Record| answer.sent > before.answered;
        match answer.call {
            Call::Verify(Some(Verdict::Valid)) => {
                let stale = revoked.filter(is_after).map(|mutation| Violation::Stale { mutation, answer });
                let by_this = answer.process.and_then(|process| told_by.get(&process)).copied();
                let back = by_this.filter(is_after).map(|before| Violation::Back { before, answer });
                let undone = told.filter(|_| answer.sent >= settled);
                let undone = undone.filter(is_after).map(|before| Violation::Undone { before, answer });
                violations.extend([stale, back, undone].into_iter().flatten());
            }
            Call::Verify(Some(Verdict::Revoked)) if asked.is_none_or(|asked| answer.answered < asked) => {
                violations.push(Violation::OutOfNothing { answer });
            }
            Call::Verify(Some(Verdict::NotFound)) => {
                violations.extend(created.filter(is_after).map(|mutation| Violation::Stale { mutation, answer }));
            }
            _ => {}
        }
    }
    violations
}

fn is_verdict(record: &Record, verdict: Verdict) -> bool {
    record.call == Call::Verify(Some(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(call: Call, replica: usize, sent: u64, answered: u64) -> Record {
        Record { key: 0, replica, process: Some((replica, 1)), sent, answered, call }
    }

    const VALID: Call = Call::Verify(Some(Verdict::Valid));
    const REVOKED: Call = Call::Verify(Some(Verdict::Revoked));

    fn found(records: &[Record], settled: u64) -> Vec<String> {
        let name = |violation| format!("{violation:?}").split(' ').next().unwrap_or_default().to_owned();
        judge(records, settled).into_iter().map(name).collect()
    }

    #[test]
    fn what_is_sent_before_the_answer_of_a_revoke_may_go_either_way() {
        let calls = [
            record(Call::Create(true), 0, 0, 1),
            record(Call::Revoke(true), 0, 10, 20),
            record(REVOKED, 1, 11, 12),
            record(VALID, 2, 19, 30),
            record(VALID, 2, 20, 30),
            record(Call::Verify(None), 2, 21, 30),
            record(REVOKED, 2, 21, 30),
        ];
        assert_eq!(found(&calls, 100), [""; 0]);
    }

    #[test]
    fn each_thing_that_cannot_be_is_found() {
        let revoke = record(Call::Revoke(true), 0, 10, 20);
        assert_eq!(found(&[revoke, record(VALID, 1, 21, 22)], 100), ["Stale"]);
        let unknown = record(Call::Revoke(false), 0, 10, 20);
        assert_eq!(found(&[unknown, record(VALID, 1, 21, 22)], 100), [""; 0], "it may take effect later");
        assert_eq!(found(&[unknown, record(REVOKED, 1, 11, 12), record(VALID, 1, 13, 14)], 100), ["Back"]);
        assert_eq!(found(&[unknown, record(REVOKED, 1, 11, 12), record(VALID, 2, 13, 14)], 100), [""; 0]);
        assert_eq!(found(&[unknown, record(REVOKED, 1, 11, 12), record(VALID, 2, 130, 140)], 100), ["Undone"]);
        let other_run = Record { process: Some((1, 2)), ..record(VALID, 1, 13, 14) };
        assert_eq!(found(&[unknown, record(REVOKED, 1, 11, 12), other_run], 100), [""; 0]);
        assert_eq!(found(&[record(REVOKED, 1, 1, 9), revoke], 100), ["OutOfNothing"]);
        let unseen = record(Call::Verify(Some(Verdict::NotFound)), 1, 2, 3);
        assert_eq!(found(&[record(Call::Create(true), 0, 0, 1), unseen], 100), ["Stale"]);
        assert_eq!(found(&[record(Call::Create(false), 0, 0, 1), unseen], 100), [""; 0]);
    }
}
