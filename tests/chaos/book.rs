//! What the clients write down, by one clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis::pb::{self, create_key_request::Expiration};
use tonic::Status;

use crate::{
    caller::{self, reason},
    fleet::Fleet,
    floors::Seen,
    history::{Call, Moment, Outcome, Process, Verdict, What, judge},
    staff::ACCOUNT,
    wish::LONGER,
};

/// How long a client waits for the answer of a mutation, and of a question.
const MUTATION: Duration = Duration::from_secs(8);
const QUESTION: Duration = Duration::from_secs(3);

/// A key as its clients know it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: Arc<str>,
    pub(crate) key: pb::Key,
    pub(crate) secret: String,
}

#[derive(Debug)]
pub(crate) struct Book {
    begun: Instant,
    calls: Mutex<Vec<Call>>,
    keys: Mutex<Vec<Known>>,
    /// How often what failed, and why.
    errors: Mutex<BTreeMap<String, usize>>,
    calm: AtomicBool,
    over: AtomicBool,
    /// Numbers for processes of which it is not certain which they were.
    unsure: AtomicU32,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            calls: Mutex::default(),
            keys: Mutex::default(),
            errors: Mutex::default(),
            calm: AtomicBool::new(false),
            over: AtomicBool::new(false),
            unsure: AtomicU32::new(0),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::try_from(self.begun.elapsed().as_nanos()).expect("not so long")
    }

    /// Nothing goes wrong any more: who made and revoked as fast as they could make room, so that it
    /// shows how long one of them takes.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// The clients are to come to their ends.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn keys(&self) -> Vec<Known> {
        self.keys.lock().expect("lock").clone()
    }

    /// The n-th newest key.
    pub(crate) fn recent(&self, n: usize) -> Option<Known> {
        let keys = self.keys.lock().expect("lock");
        keys.get(keys.len().checked_sub(1 + n.checked_rem(keys.len())?)?).cloned()
    }

    pub(crate) fn failed(&self, what: &str, status: &Status) {
        let error = format!("{what} {:?} {}", status.code(), reason(status));
        *self.errors.lock().expect("lock").entry(error).or_default() += 1;
    }

    pub(crate) fn write(&self, id: &Arc<str>, sent: Moment, what: What) {
        let returned = Some(self.now());
        self.push(Call { key: Arc::clone(id), sent, returned, what });
    }

    fn push(&self, call: Call) {
        self.calls.lock().expect("lock").push(call);
    }

    /// One that ends by itself after `ttl`, if there is one.
    pub(crate) async fn create(
        &self,
        fleet: &Fleet,
        at: usize,
        application: &str,
        ttl: Option<Duration>,
    ) -> Option<Known> {
        let ttl = ttl.map(|ttl| Expiration::Ttl(ttl.try_into().expect("short")));
        let request = pb::CreateKeyRequest { expiration: ttl, ..caller::create(application, "key") };
        let sent = self.now();
        let made = fleet.clients[at].signed::<pb::CreateKeyResponse>("KeyService/CreateKey", &request, MUTATION).await;
        let made = made.inspect_err(|status| self.failed("Create", status)).ok()?;
        let key = made.key.expect("key");
        let known = Known { id: Arc::from(key.key_id.as_str()), key, secret: made.secret };
        // First the call: whoever finds the key may answer about it at once.
        self.write(&known.id, sent, What::Create(Outcome::Ok));
        self.keys.lock().expect("lock").push(known.clone());
        Some(known)
    }

    /// Whether it was answered by OK. Where nobody was to be waited for, nothing is promised.
    pub(crate) async fn revoke(&self, fleet: &Fleet, at: usize, known: &Known, wait: pb::RevokeWait) -> bool {
        let (request, sent) = (caller::revoke(&known.key, wait), self.now());
        let answer =
            fleet.clients[at].signed::<pb::RevokeKeyResponse>("KeyService/RevokeKey", &request, MUTATION).await;
        let outcome = match &answer {
            Ok(_) if wait == pb::RevokeWait::None => Outcome::Unknown,
            Ok(_) if wait == pb::RevokeWait::Replicas => Outcome::Ok,
            Ok(_) => Outcome::Everywhere,
            Err(status) => outcome_of(status),
        };
        self.write(&known.id, sent, What::Revoke(outcome));
        answer.inspect_err(|status| self.failed("Revoke", status)).is_ok()
    }

    pub(crate) async fn verify(&self, fleet: &Fleet, at: usize, known: &Known) -> Option<Verdict> {
        let (request, sent, run) = (caller::verify(&known.secret), self.now(), fleet.replicas[at].run());
        let answer = fleet.clients[at].by_token("KeyService/VerifyKey", &request, QUESTION).await;
        let answer: pb::VerifyKeyResponse = answer.inspect_err(|status| self.failed("Verify", status)).ok()?;
        let verdict = match answer.verdict() {
            pb::Verdict::Valid => Verdict::Valid,
            pb::Verdict::Revoked => Verdict::Revoked,
            pb::Verdict::NotFound => Verdict::NotFound,
            pb::Verdict::Expired => Verdict::Expired,
            other => panic!("{other:?} of a key that has nothing but a secret"),
        };
        let process = self.process(fleet, at, run);
        self.write(&known.id, sent, What::Verify(process, verdict));
        let kept = answer.cache_ttl.and_then(|ttl| Duration::try_from(ttl).ok()).filter(|ttl| !ttl.is_zero());
        if let Some(kept) = kept {
            // As a verifier does: from before it asked.
            let until = sent + Moment::try_from(kept.as_nanos()).expect("a minute at most");
            self.push(Call { key: Arc::clone(&known.id), sent, returned: Some(until), what: What::Keep(process) });
        }
        Some(verdict)
    }

    /// Who answered a call that was sent to this run of a replica.
    pub(crate) fn process(&self, fleet: &Fleet, at: usize, run: u32) -> Process {
        if run == fleet.replicas[at].run() {
            Process { replica: u32::try_from(at).expect("few"), start: run }
        } else {
            // It was replaced meanwhile, and either may have answered.
            self.unsure(at)
        }
    }

    /// Somebody at this replica, who is bound by nothing that was said before.
    pub(crate) fn unsure(&self, at: usize) -> Process {
        Process { replica: u32::try_from(at + 1000).expect("few"), start: self.unsure.fetch_add(1, Ordering::SeqCst) }
    }

    /// A watcher was told that a key has expired: it is written. Who answers inside a lease has read so
    /// since.
    pub(crate) fn ended(&self, key: &str) {
        let sent = self.now();
        let known = sent + Moment::try_from(LONGER.as_nanos()).expect("short");
        self.push(Call { key: Arc::from(key), sent, returned: Some(known), what: What::End });
    }

    /// The keys whose revocation was answered by OK.
    pub(crate) fn revoked(&self) -> Vec<String> {
        let calls = self.calls.lock().expect("lock");
        let known: BTreeSet<_> = self.keys().into_iter().map(|known| known.id).collect();
        let is_done = |call: &&Call| matches!(call.what, What::Revoke(Outcome::Ok | Outcome::Everywhere));
        let done = calls.iter().filter(is_done).filter(|call| known.contains(&call.key));
        done.map(|call| call.key.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What was answered about keys by whom was asked after one moment and answered before another.
    pub(crate) fn verdicts(&self, from: Moment, until: Moment) -> Vec<Verdict> {
        let calls = self.calls.lock().expect("lock");
        let within = calls.iter().filter(|call| call.sent > from && call.returned.is_some_and(|at| at < until));
        within.filter_map(verdict).collect()
    }

    /// How often something failed for this reason.
    pub(crate) fn failures(&self, reason: &str) -> usize {
        let errors = self.errors.lock().expect("lock");
        errors.iter().filter(|(error, _)| error.ends_with(reason)).map(|(_, times)| times).sum()
    }

    /// What was seen of keys up to a moment; `beside` says whether a fault was beside what lay between two.
    pub(crate) fn seen(&self, until: Moment, beside: impl Fn(Instant, Instant) -> bool) -> Seen {
        let at = |moment| self.begun + Duration::from_nanos(moment);
        let mut seen = Seen::default();
        let calls = self.calls.lock().expect("lock");
        for call in calls.iter().filter(|call| call.sent < until && !call.key.starts_with(ACCOUNT)) {
            match call.what {
                What::Verify(_, Verdict::Valid) => seen.valid += 1,
                What::Verify(_, Verdict::Revoked) => seen.revoked += 1,
                What::Keep(_) => seen.kept += 1,
                What::Revoke(Outcome::Ok | Outcome::Everywhere) => {
                    seen.revocations += 1;
                    let returned = call.returned.expect("it was answered");
                    seen.beside_faults += usize::from(beside(at(call.sent), at(returned)));
                }
                _ => {}
            }
        }
        seen
    }

    /// Says what was seen, and what of it cannot be. All had settled at `settled`.
    pub(crate) fn judge(&self, settled: Moment) -> Vec<String> {
        let calls = self.calls.lock().expect("lock");
        let judgement = judge(&calls);
        println!("{} calls, {} keys: {judgement}", calls.len(), self.keys.lock().expect("lock").len());
        self.errors.lock().expect("lock").iter().for_each(|(error, times)| println!("  {times:6} {error}"));
        let wrong = judgement.violations.iter().map(ToString::to_string);
        wrong.chain(undone(&calls, settled)).collect()
    }
}

/// What each refusal says of what was done: the words of `error_reason.proto`.
pub(crate) fn outcome_of(status: &Status) -> Outcome {
    match reason(status).as_str() {
        "STORE_UNAVAILABLE" | "FRESHNESS_UNPROVEN" | "SHUTTING_DOWN" | "OVERLOADED" => Outcome::Refused,
        _ => Outcome::Unknown,
    }
}

fn verdict(call: &Call) -> Option<Verdict> {
    match call.what {
        What::Verify(_, verdict) => Some(verdict),
        _ => None,
    }
}

/// What was REVOKED to anybody, and VALID when all had settled: whoever was told, and nobody
/// promised them anything, was told what did not stick.
fn undone(calls: &[Call], settled: Moment) -> Vec<String> {
    let told = calls.iter().filter(|call| verdict(call) == Some(Verdict::Revoked)).map(|call| &call.key);
    let told: BTreeSet<_> = told.collect();
    let valid = calls.iter().filter(|call| call.sent >= settled && verdict(call) == Some(Verdict::Valid));
    valid
        .filter(|call| told.contains(&call.key))
        .map(|call| format!("{}: REVOKED, and VALID again", call.key))
        .collect()
}
