//! Judges what clients saw: a history of calls, all timed by one clock that never goes back.
//!
//! A call takes effect at some moment between when it was sent and when it returned. Only
//! what lies wholly before another call binds that one; of calls that overlap, either may
//! have been first. A call whose outcome is unknown may take effect at any time after it was
//! sent, or never. All is found in O(n log n).
//!
//! Over all replicas: a VerifyKey that was sent after a RevokeKey returned OK does not get
//! VALID; nor does one that was sent after everybody must have known that the key has ended. Where
//! the RevokeKey waited for verifiers, too, no VALID that one was allowed to keep is kept any longer.
//! By one replica, as long as its process lives: what it has said of a key it does not take back.
//! That two replicas change their minds at the same moment is not promised.
//!
//! A service account is judged as a key is: a call that passes is VALID, one that is refused
//! because nobody proves to be that account any more is REVOKED.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    sync::Arc,
};

/// Nanoseconds on the clock of whoever recorded it.
pub(crate) type Moment = u64;

/// One call, about one key.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) key: Arc<str>,
    pub(crate) sent: Moment,
    /// Not at all, if nothing was heard of it.
    pub(crate) returned: Option<Moment>,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Create(Outcome),
    Revoke(Outcome),
    /// One that got no verdict need not be recorded.
    Verify(Process, Verdict),
    /// What is known to have ended by its time: from when it returned, no replica may not know it.
    End,
    /// A VALID that was sent for then, and that a verifier may give again until this one returned.
    Keep(Process),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// OK, having waited for all replicas.
    Ok,
    /// OK, having waited for what verifiers keep, too.
    Everywhere,
    /// Nothing was done, and nothing will be.
    Refused,
    /// It may have been done, or may be yet: also COMMITTED_NOT_CONFIRMED.
    Unknown,
}

/// One life of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) replica: u32,
    pub(crate) start: u32,
}

/// In the order in which a key goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    NotFound,
    Valid,
    Expired,
    Revoked,
}

/// What is wrong with one answer to a VerifyKey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Broken,
    key: Arc<str>,
    process: Process,
    verdict: Verdict,
    sent: Moment,
    /// Of the call that it contradicts, if there was one.
    against: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    ValidAfterRevoke,
    KeptAfterRevoke,
    ValidAfterEnd,
    RevokedBeforeRevoke,
    NotFoundAfterOk,
    FoundBeforeCreate,
    TakenBack,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) verdicts: usize,
    /// Keys whose revocation was confirmed.
    pub(crate) revoked: usize,
    /// Of those, where verifiers may have kept a VALID: how many they may have kept.
    pub(crate) kept: usize,
    /// Keys that are known to have ended.
    pub(crate) ended: usize,
    pub(crate) violations: Vec<Violation>,
    /// From the moment at which a RevokeKey returned OK to when the last VerifyKey that got
    /// VALID was sent: the longest of all keys. The promise is that it is not above zero.
    pub(crate) window: Option<i128>,
}

/// What binds the verdicts about one key: when what was sent first, and confirmed first.
#[derive(Debug, Default)]
struct Bounds {
    create_sent: Option<Moment>,
    created: Option<Moment>,
    revoke_sent: Option<Moment>,
    revoked: Option<Moment>,
    /// At every verifier, too.
    revoked_everywhere: Option<Moment>,
    ended: Option<Moment>,
}

/// What there is of one key.
#[derive(Debug, Default)]
struct Of {
    bounds: Bounds,
    answers: Vec<Answer>,
    kept: Vec<Answer>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    process: Process,
    verdict: Verdict,
    sent: Moment,
    returned: Moment,
}

pub(crate) fn judge(calls: &[Call]) -> Judgement {
    let mut keys: BTreeMap<&Arc<str>, Of> = BTreeMap::new();
    for call in calls {
        let Of { bounds, answers, kept } = keys.entry(&call.key).or_default();
        match (call.what, call.returned) {
            (What::Verify(process, verdict), Some(returned)) => {
                answers.push(Answer { process, verdict, sent: call.sent, returned });
            }
            (What::Keep(process), Some(returned)) => {
                kept.push(Answer { process, verdict: Verdict::Valid, sent: call.sent, returned });
            }
            (What::Verify(..) | What::Keep(_), None) => {}
            (What::End, _) => bounds.ended = earlier(bounds.ended, call.returned),
            (What::Create(outcome), _) => note(call, outcome, &mut bounds.create_sent, &mut bounds.created),
            (What::Revoke(outcome), _) => {
                note(call, outcome, &mut bounds.revoke_sent, &mut bounds.revoked);
                if outcome == Outcome::Everywhere {
                    bounds.revoked_everywhere = earlier(bounds.revoked_everywhere, call.returned);
                }
            }
        }
    }
    let mut judgement = Judgement::default();
    for (key, Of { bounds, answers, kept }) in keys {
        judgement.key(key, &bounds, answers);
        judgement.kept(key, &bounds, &kept);
    }
    judgement
}

fn note(call: &Call, outcome: Outcome, sent: &mut Option<Moment>, confirmed: &mut Option<Moment>) {
    if outcome != Outcome::Refused {
        *sent = earlier(*sent, Some(call.sent));
    }
    if matches!(outcome, Outcome::Ok | Outcome::Everywhere) {
        *confirmed = earlier(*confirmed, call.returned);
    }
}

fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}

impl Bounds {
    /// The rule that one answer breaks by itself, and the moment that it contradicts.
    fn broken_by(&self, answer: &Answer) -> Option<(Broken, Option<Moment>)> {
        let after = |moment: Option<Moment>| moment.filter(|moment| *moment < answer.sent);
        let not_yet = |moment: Option<Moment>| moment.is_none_or(|moment| answer.returned < moment);
        match answer.verdict {
            // Whoever revoked it found it.
            Verdict::NotFound => {
                after(earlier(self.created, self.revoked)).map(|at| (Broken::NotFoundAfterOk, Some(at)))
            }
            // Of a key that was there before the history nobody knows when it was made.
            _ if self.create_sent.is_some() && not_yet(self.create_sent) => {
                Some((Broken::FoundBeforeCreate, self.create_sent))
            }
            Verdict::Valid => after(self.revoked)
                .map(|at| (Broken::ValidAfterRevoke, Some(at)))
                .or_else(|| after(self.ended).map(|at| (Broken::ValidAfterEnd, Some(at)))),
            // By which clock it ended, the history does not know.
            Verdict::Expired => None,
            Verdict::Revoked => not_yet(self.revoke_sent).then_some((Broken::RevokedBeforeRevoke, self.revoke_sent)),
        }
    }
}

impl Judgement {
    fn key(&mut self, key: &Arc<str>, bounds: &Bounds, mut answers: Vec<Answer>) {
        self.verdicts += answers.len();
        self.ended += usize::from(bounds.ended.is_some());
        let broken = |answer: &Answer, rule, against| answer.breaks(rule, key, against);
        for answer in &answers {
            self.violations.extend(bounds.broken_by(answer).map(|(rule, against)| broken(answer, rule, against)));
        }
        if let Some(revoked) = bounds.revoked {
            self.revoked += 1;
            let valid = answers.iter().filter(|answer| answer.verdict == Verdict::Valid);
            let window = valid.map(|answer| i128::from(answer.sent) - i128::from(revoked)).max();
            self.window = self.window.max(window);
        }
        answers.sort_by_key(|answer| (answer.process, answer.sent));
        for of_process in answers.chunk_by(|one, other| one.process == other.process) {
            let taken_back = taken_back(of_process);
            self.violations.extend(taken_back.map(|(answer, at)| broken(&answer, Broken::TakenBack, Some(at))));
        }
    }
}

impl Judgement {
    /// What verifiers may have said of a key by themselves.
    fn kept(&mut self, key: &Arc<str>, bounds: &Bounds, kept: &[Answer]) {
        let Some(revoked) = bounds.revoked_everywhere else { return };
        self.kept += kept.len();
        let too_long = kept.iter().filter(|answer| answer.returned > revoked);
        self.violations.extend(too_long.map(|answer| answer.breaks(Broken::KeptAfterRevoke, key, Some(revoked))));
        let window = kept.iter().map(|answer| i128::from(answer.returned) - i128::from(revoked)).max();
        self.window = self.window.max(window);
    }
}

impl Answer {
    fn breaks(&self, rule: Broken, key: &Arc<str>, against: Option<Moment>) -> Violation {
        let Self { process, verdict, sent, .. } = *self;
        Violation { rule, key: Arc::clone(key), process, verdict, sent, against }
    }
}

/// Of one process's answers, in the order in which they were asked for: those that fall behind
/// one that had returned before, and when it had.
fn taken_back(answers: &[Answer]) -> impl Iterator<Item = (Answer, Moment)> {
    let mut returned = answers.to_vec();
    returned.sort_by_key(|answer| answer.returned);
    let mut returned = returned.into_iter().peekable();
    let mut furthest: Option<(Verdict, Moment)> = None;
    answers.iter().filter_map(move |answer| {
        while let Some(before) = returned.next_if(|before| before.returned < answer.sent) {
            if furthest.is_none_or(|(verdict, _)| verdict < before.verdict) {
                furthest = Some((before.verdict, before.returned));
            }
        }
        furthest.filter(|(verdict, _)| answer.verdict < *verdict).map(|(_, at)| (*answer, at))
    })
}

/// How many are shown.
const SHOWN: usize = 10;

impl Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.violations.len();
        write!(f, "{count} violations in {} verdicts, {} keys revoked", self.verdicts, self.revoked)?;
        if self.kept > 0 {
            write!(f, " ({} VALID kept of them)", self.kept)?;
        }
        if self.ended > 0 {
            write!(f, ", {} ended", self.ended)?;
        }
        match self.window {
            Some(window) => writeln!(f, ", the last VALID sent {:+.6} s after a revocation", window as f64 / 1e9)?,
            None => writeln!(f, ", no VALID of a revoked key")?,
        }
        let mut by_rule: BTreeMap<Broken, usize> = BTreeMap::new();
        for violation in &self.violations {
            *by_rule.entry(violation.rule).or_default() += 1;
        }
        for (rule, count) in by_rule {
            writeln!(f, "  {count} times: {rule}")?;
        }
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  {violation}")?;
        }
        if count > SHOWN {
            writeln!(f, "  and {} more", count - SHOWN)?;
        }
        Ok(())
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, process: Process { replica, start }, verdict, sent, .. } = self;
        write!(f, "{key}: {verdict:?} by replica {replica} (start {start}) to a call sent at {:.6} s", seconds(*sent))?;
        match self.against {
            Some(at) => write!(f, ", though {} at {:.6} s", self.rule, seconds(at)),
            None => write!(f, ", though {}", self.rule),
        }
    }
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ValidAfterRevoke => "a RevokeKey had returned OK",
            Self::KeptAfterRevoke => "it was kept when a RevokeKey had returned OK",
            Self::ValidAfterEnd => "it had ended, and every replica must have known",
            Self::RevokedBeforeRevoke => "no RevokeKey had been sent",
            Self::NotFoundAfterOk => "a CreateKey or RevokeKey had returned OK",
            Self::FoundBeforeCreate => "the CreateKey had not been sent",
            Self::TakenBack => "this process had already said more",
        })
    }
}

fn seconds(moment: Moment) -> f64 {
    moment as f64 / 1e9
}
