//! The judge of histories, judged itself: by histories that it must refuse, and by a checker
//! of linearizability that knows nothing of it.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};

use crate::history::{
    Broken, Call, Moment, Outcome, Process,
    Verdict::{self, Expired, NotFound, Revoked, Valid},
    What, judge,
};

const ONE: Process = Process { replica: 1, start: 1 };
const TWO: Process = Process { replica: 2, start: 1 };
const ONE_AGAIN: Process = Process { replica: 1, start: 2 };

fn call(sent: Moment, returned: impl Into<Option<Moment>>, what: What) -> Call {
    Call { key: Arc::from("key"), sent, returned: returned.into(), what }
}

fn create(sent: Moment, returned: Moment) -> Call {
    call(sent, returned, What::Create(Outcome::Ok))
}

fn revoke(sent: Moment, returned: Moment) -> Call {
    call(sent, returned, What::Revoke(Outcome::Ok))
}

fn unknown_revoke(sent: Moment) -> Call {
    call(sent, None, What::Revoke(Outcome::Unknown))
}

fn verify(process: Process, sent: Moment, returned: Moment, verdict: Verdict) -> Call {
    call(sent, returned, What::Verify(process, verdict))
}

fn broken(calls: &[Call]) -> Vec<Broken> {
    judge(calls).violations.into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn no_valid_is_accepted_that_was_sent_after_a_revocation_returned() {
    let until = |sent| [create(0, 5), revoke(10, 20), verify(ONE, sent, 30, Valid)];
    assert_eq!(broken(&until(20)), [], "neither was wholly before the other");
    assert_eq!(broken(&until(21)), [Broken::ValidAfterRevoke]);
    assert_eq!(judge(&until(21)).window, Some(1));
    assert_eq!(judge(&until(12)).window, Some(-8));
    let twice = [revoke(10, 40), revoke(20, 25), verify(ONE, 30, 35, Valid)];
    assert_eq!(broken(&twice), [Broken::ValidAfterRevoke], "whichever returned first");
}

#[test]
fn an_unknown_revocation_may_take_effect_at_any_time_or_never() {
    let told = |verdict| [unknown_revoke(10), verify(ONE, 100, 110, verdict)];
    assert_eq!(broken(&told(Valid)), []);
    assert_eq!(broken(&told(Revoked)), []);
    assert_eq!(judge(&told(Valid)).window, None);
    let refused = [call(10, 20, What::Revoke(Outcome::Refused)), verify(ONE, 30, 40, Revoked)];
    assert_eq!(broken(&refused), [Broken::RevokedBeforeRevoke], "a refused one takes none");
    // An answer that comes late is an answer all the same.
    let late = [call(10, 20, What::Revoke(Outcome::Unknown)), verify(ONE, 30, 40, Valid)];
    assert_eq!(broken(&late), []);
}

#[test]
fn no_valid_is_kept_longer_than_a_revocation_took_that_waited_for_it() {
    let kept = |until, outcome| {
        [create(0, 5), call(6, until, What::Keep(ONE)), call(10, 20, What::Revoke(outcome)), verify(TWO, 15, 16, Valid)]
    };
    assert_eq!(broken(&kept(20, Outcome::Everywhere)), [], "it was over when it returned");
    assert_eq!(broken(&kept(21, Outcome::Everywhere)), [Broken::KeptAfterRevoke]);
    assert_eq!(judge(&kept(23, Outcome::Everywhere)).window, Some(3));
    assert_eq!(judge(&kept(19, Outcome::Everywhere)).window, Some(-1));
    assert_eq!(broken(&kept(21, Outcome::Ok)), [], "which waited for replicas only");
    assert_eq!(broken(&kept(21, Outcome::Unknown)), []);
    let asked = [call(10, 20, What::Revoke(Outcome::Everywhere)), verify(ONE, 21, 22, Valid)];
    assert_eq!(broken(&asked), [Broken::ValidAfterRevoke], "it waits for replicas, too");
    assert_eq!(broken(&[create(0, 5), call(6, 99, What::Keep(ONE))]), [], "nobody revoked it");
}

#[test]
fn what_has_ended_is_not_valid_once_everybody_must_know() {
    let ended = |sent, verdict| [create(0, 5), call(10, 20, What::End), verify(ONE, sent, sent + 1, verdict)];
    assert_eq!(broken(&ended(20, Valid)), []);
    assert_eq!(broken(&ended(21, Valid)), [Broken::ValidAfterEnd]);
    assert_eq!(broken(&ended(21, Expired)), []);
    assert_eq!(broken(&ended(21, NotFound)), [Broken::NotFoundAfterOk]);
    let back = [verify(ONE, 0, 1, Expired), verify(ONE, 2, 3, Valid), verify(TWO, 4, 5, Valid)];
    assert_eq!(broken(&back), [Broken::TakenBack], "a process that said so says so, whatever its clock does");
    let revoked = [verify(ONE, 0, 1, Expired), revoke(2, 4), verify(ONE, 5, 6, Revoked), verify(ONE, 7, 8, Expired)];
    assert_eq!(broken(&revoked), [Broken::TakenBack], "what is revoked is so before all");
}

#[test]
fn no_process_takes_back_what_it_has_said() {
    let then = |process, sent| [unknown_revoke(0), verify(ONE, 10, 20, Revoked), verify(process, sent, 40, Valid)];
    assert_eq!(broken(&then(ONE, 21)), [Broken::TakenBack]);
    assert_eq!(broken(&then(ONE, 20)), [], "they overlapped");
    assert_eq!(broken(&then(TWO, 21)), [], "two replicas need not change at one moment");
    assert_eq!(broken(&then(ONE_AGAIN, 21)), [], "nor two lives of one");
    let forgotten = [verify(ONE, 0, 1, Valid), verify(ONE, 2, 3, NotFound)];
    assert_eq!(broken(&forgotten), [Broken::TakenBack]);
}

#[test]
fn nothing_is_answered_before_its_cause() {
    assert_eq!(broken(&[verify(ONE, 0, 9, Revoked), revoke(10, 20)]), [Broken::RevokedBeforeRevoke]);
    assert_eq!(broken(&[verify(ONE, 0, 10, Revoked), revoke(10, 20)]), []);
    assert_eq!(broken(&[verify(ONE, 0, 9, Revoked)]), [Broken::RevokedBeforeRevoke]);
    assert_eq!(broken(&[verify(ONE, 0, 9, Valid), create(10, 20)]), [Broken::FoundBeforeCreate]);
    assert_eq!(broken(&[create(10, 20), verify(ONE, 15, 25, NotFound)]), []);
    assert_eq!(broken(&[create(10, 20), verify(ONE, 21, 25, NotFound)]), [Broken::NotFoundAfterOk]);
}

#[test]
fn keys_are_judged_each_by_itself() {
    let of = |key: &str, call: Call| Call { key: Arc::from(key), ..call };
    let calls = [of("a", revoke(0, 10)), of("b", verify(ONE, 20, 30, Valid)), of("b", revoke(40, 50))];
    let judgement = judge(&calls);
    assert_eq!((judgement.violations.len(), judgement.verdicts, judgement.revoked), (0, 1, 2));
    assert_eq!(judgement.window, Some(-30));
}

#[test]
fn a_report_says_what_when_and_how_often() {
    let late = |sent| verify(ONE, sent, sent + 1, Valid);
    let calls: Vec<_> =
        [revoke(1_000_000_000, 2_000_000_000)].into_iter().chain((0..12).map(|n| late(2_500_000_000 + n))).collect();
    let report = judge(&calls).to_string();
    for text in [
        "12 violations in 12 verdicts, 1 keys revoked, the last VALID sent +0.500000 s after a revocation",
        "12 times: a RevokeKey had returned OK",
        "key: Valid by replica 1 (start 1) to a call sent at 2.500000 s, though a RevokeKey had returned OK at 2.000000 s",
        "and 2 more",
    ] {
        assert!(report.contains(text), "{report}");
    }
}

/// The key, as one object that all calls go to one after the other.
#[derive(Debug, Clone, PartialEq)]
struct Key(Verdict);

#[derive(Debug, Clone, PartialEq)]
enum Op {
    Create,
    Revoke,
    Verify,
}

impl SequentialSpec for Key {
    type Op = Op;
    type Ret = Option<Verdict>;

    fn invoke(&mut self, op: &Op) -> Option<Verdict> {
        match op {
            Op::Create => self.0 = self.0.max(Valid),
            Op::Revoke => self.0 = Revoked,
            Op::Verify => return Some(self.0),
        }
        None
    }
}

/// Whether what one process answered could have been answered by one object.
fn linearizable(calls: &[Call], process: Process) -> bool {
    let mut tester = LinearizabilityTester::new(Key(NotFound));
    if !calls.iter().any(|call| matches!(call.what, What::Create(_))) {
        // Somebody made it, or will.
        tester.on_invoke(calls.len(), Op::Create).expect("in order");
    }
    let mut edges = Vec::new();
    for (thread, call) in calls.iter().enumerate() {
        let (op, ret) = match call.what {
            What::Verify(by, _) if by != process => continue,
            What::Create(Outcome::Refused) | What::Revoke(Outcome::Refused) | What::End | What::Keep(_) => continue,
            What::Verify(_, verdict) => (Op::Verify, Some(verdict)),
            What::Create(_) => (Op::Create, None),
            What::Revoke(_) => (Op::Revoke, None),
        };
        edges.push((call.sent, thread, Some(op), ret));
        let known = !matches!(call.what, What::Create(Outcome::Unknown) | What::Revoke(Outcome::Unknown));
        edges.extend(call.returned.filter(|_| known).map(|returned| (returned, thread, None, ret)));
    }
    // At one moment, what begins overlaps what ends.
    edges.sort_by_key(|(moment, _, op, _)| (*moment, op.is_none()));
    for (_, thread, op, ret) in edges {
        match op {
            Some(op) => tester.on_invoke(thread, op).map(drop),
            None => tester.on_return(thread, ret).map(drop),
        }
        .expect("in order");
    }
    tester.is_consistent()
}

fn histories() -> impl Strategy<Value = Vec<Call>> {
    let outcome = || prop_oneof![3 => Just(Outcome::Ok), 1 => Just(Outcome::Refused), 2 => Just(Outcome::Unknown)];
    let verdict = prop_oneof![1 => Just(NotFound), 3 => Just(Valid), 3 => Just(Revoked)];
    let process = prop_oneof![2 => Just(ONE), 1 => Just(TWO)];
    let what = prop_oneof![
        1 => outcome().prop_map(What::Revoke),
        3 => (process, verdict).prop_map(|(process, verdict)| What::Verify(process, verdict)),
    ];
    // A key is revoked by whoever has heard of it.
    let made = (0_u64..3, 0_u64..3).prop_map(|(sent, took)| create(sent, sent + took));
    let later = (4_u64..24, 0_u64..8, what).prop_map(|(sent, took, what)| call(sent, sent + took, what));
    (proptest::option::of(made), vec(later, 1..8), 0_u64..24).prop_map(|(made, later, early)| {
        let shift = |mut call: Call| {
            if let (What::Verify(..), Some(returned)) = (call.what, call.returned) {
                let back = early.min(call.sent);
                (call.sent, call.returned) = (call.sent - back, Some(returned - back));
            }
            call
        };
        made.into_iter().chain(later.into_iter().map(shift)).collect()
    })
}

#[test]
fn it_agrees_with_a_checker_of_linearizability() {
    const HISTORIES: usize = 4_000;
    let mut runner = TestRunner::deterministic();
    let mut good = 0;
    for _ in 0..HISTORIES {
        let calls = histories().new_tree(&mut runner).expect("a history").current();
        let judgement = judge(&calls);
        let linear = [ONE, TWO].into_iter().all(|process| linearizable(&calls, process));
        assert_eq!(judgement.violations.is_empty(), linear, "{judgement}{calls:#?}");
        good += usize::from(linear);
    }
    println!("{good} of {HISTORIES} histories are linearizable, and no other is accepted");
    assert!((HISTORIES / 5..HISTORIES * 4 / 5).contains(&good), "{good} of {HISTORIES} were good");
}
