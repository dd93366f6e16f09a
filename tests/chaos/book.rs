//! What the clients write down, by one clock.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis::pb;
use tonic::Status;

use crate::{
    caller::{self, reason},
    fleet::Fleet,
    history::{Call, Record, Verdict, judge},
};

/// How long a client waits for the answer of a mutation, and of a question.
const MUTATION: Duration = Duration::from_secs(8);
const QUESTION: Duration = Duration::from_secs(3);

/// A key as its clients know it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Its place in the history.
    pub(crate) number: usize,
    pub(crate) key: pb::Key,
    pub(crate) secret: String,
}

#[derive(Debug)]
pub(crate) struct Book {
    begun: Instant,
    records: Mutex<Vec<Record>>,
    keys: Mutex<Vec<Known>>,
    /// Reasons of errors, to be counted.
    errors: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            records: Mutex::default(),
            keys: Mutex::default(),
            errors: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).expect("not so long")
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
        self.errors.lock().expect("lock").push(format!("{what} {:?} {}", status.code(), reason(status)));
    }

    /// Asks and writes down. `call` says what the answer was.
    async fn write<T>(
        &self,
        fleet: &Fleet,
        (key, replica): (Option<usize>, usize),
        ask: impl Future<Output = Result<T, Status>>,
        call: impl Fn(&Result<T, Status>) -> Call,
    ) -> (Result<T, Status>, Record) {
        let place = &fleet.replicas[replica];
        let (run, sent) = (place.run(), self.now());
        let answer = ask.await;
        let answered = self.now();
        let process = (run == place.run()).then_some((replica, run));
        let call = call(&answer);
        let record = Record { key: key.unwrap_or(usize::MAX), replica, process, sent, answered, call };
        if key.is_some() {
            self.records.lock().expect("lock").push(record);
        }
        if let Err(status) = &answer {
            self.failed(&format!("{call:?}"), status);
        }
        (answer, record)
    }

    pub(crate) async fn create(&self, fleet: &Fleet, at: usize) -> Option<Known> {
        let request = caller::create(&fleet.application, "key");
        let ask = fleet.clients[at].signed::<pb::CreateKeyResponse>("KeyService/CreateKey", &request, MUTATION);
        let (made, record) = self.write(fleet, (None, at), ask, |made| Call::Create(made.is_ok())).await;
        let made = made.ok()?;
        let mut keys = self.keys.lock().expect("lock");
        let known = Known { number: keys.len(), key: made.key.expect("key"), secret: made.secret };
        keys.push(known.clone());
        self.records.lock().expect("lock").push(Record { key: known.number, ..record });
        Some(known)
    }

    /// Whether it is certain. Where nobody was to be waited for, nothing is promised.
    pub(crate) async fn revoke(&self, fleet: &Fleet, at: usize, known: &Known, wait: pb::RevokeWait) -> bool {
        let request = caller::revoke(&known.key, wait);
        let ask = fleet.clients[at].signed::<pb::RevokeKeyResponse>("KeyService/RevokeKey", &request, MUTATION);
        let promised = wait != pb::RevokeWait::None;
        let call = |answer: &Result<_, _>| Call::Revoke(answer.is_ok() && promised);
        self.write(fleet, (Some(known.number), at), ask, call).await.0.is_ok()
    }

    pub(crate) async fn verify(&self, fleet: &Fleet, at: usize, known: &Known) -> Option<Verdict> {
        let request = caller::verify(&known.secret);
        let ask = fleet.clients[at].by_token::<pb::VerifyKeyResponse>("KeyService/VerifyKey", &request, QUESTION);
        let call = |answer: &Result<pb::VerifyKeyResponse, _>| {
            Call::Verify(answer.as_ref().ok().map(|answer| match answer.verdict() {
                pb::Verdict::Valid => Verdict::Valid,
                pb::Verdict::Revoked => Verdict::Revoked,
                pb::Verdict::NotFound => Verdict::NotFound,
                _ => Verdict::Other,
            }))
        };
        match self.write(fleet, (Some(known.number), at), ask, call).await.1.call {
            Call::Verify(verdict) => verdict,
            _ => None,
        }
    }

    /// Keys whose revocation was answered by OK.
    pub(crate) fn revoked(&self) -> Vec<Known> {
        let records = self.records.lock().expect("lock");
        let done: std::collections::BTreeSet<_> =
            records.iter().filter(|record| record.call == Call::Revoke(true)).map(|record| record.key).collect();
        self.keys().into_iter().filter(|known| done.contains(&known.number)).collect()
    }

    /// Fails on what cannot be, and says what was seen.
    pub(crate) fn judge(&self, settled: u64) -> Vec<String> {
        let records = self.records.lock().expect("lock");
        let count = |is_it: fn(&Call) -> bool| records.iter().filter(|record| is_it(&record.call)).count();
        println!(
            "{} calls: {} keys, {} revoked, {} VALID, {} REVOKED, {} without an answer",
            records.len(),
            count(|call| matches!(call, Call::Create(true))),
            count(|call| matches!(call, Call::Revoke(true))),
            count(|call| matches!(call, Call::Verify(Some(Verdict::Valid)))),
            count(|call| matches!(call, Call::Verify(Some(Verdict::Revoked)))),
            count(|call| matches!(call, Call::Verify(None) | Call::Revoke(false))),
        );
        let mut errors: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        self.errors.lock().expect("lock").iter().for_each(|error| *errors.entry(error.clone()).or_default() += 1);
        errors.iter().for_each(|(error, times)| println!("  {times:6} {error}"));
        judge(&records, settled).iter().map(|violation| format!("{violation:?}")).collect()
    }
}
