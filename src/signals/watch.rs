use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc;

use super::{
    Note, Signals,
    sweep::{self, Sweep},
    windows::Windows,
};
use crate::{
    domain::{
        id::KeyId,
        signal::{Finding, Sign, is_sudden},
        time::Timestamp,
        usage::Whose,
    },
    index::Index,
    replica::Replica,
    store::{Error, Noted, Store},
};

/// Looks into what was seen, once a second, and has the store tell what is to be told.
#[derive(Debug)]
pub struct Watch {
    signals: Signals,
    store: Store,
    index: Arc<Index>,
    replica: Replica,
    notes: mpsc::Receiver<Note>,
    windows: Windows,
    sweep: Sweep,
    /// Keys whose volume is to be looked up.
    busy: VecDeque<(Whose, KeyId)>,
    /// Found, and yet to be noted.
    waiting: VecDeque<Finding>,
    /// What nobody need ask the store about before then.
    quiet: HashMap<Known, Timestamp>,
    /// The minute in which it was said last what was left out.
    said: i64,
}

/// A finding among those that are told once for some time.
type Known = (KeyId, &'static str, Box<str>);

const EVERY: Duration = Duration::from_secs(1);
/// Findings a transaction, each of up to ten statements: a call that waits for its first chunk of
/// a limit waits behind one such transaction at most.
const BATCH: usize = 20;
/// While the database is away; beyond them what is found is left out.
const MOST_WAITING: usize = 10_000;
const MOST_QUIET: usize = 100_000;
/// Keys whose volume is looked up at one look: far fewer than the database could.
const LOOKED_UP: usize = 50;
/// For what was seen last, at a stop.
const LAST: Duration = Duration::from_secs(5);

impl Watch {
    pub(super) fn new(
        signals: Signals,
        store: Store,
        index: Arc<Index>,
        replica: Replica,
        notes: mpsc::Receiver<Note>,
    ) -> Self {
        let (windows, sweep, busy) = (Windows::default(), Sweep::default(), VecDeque::new());
        let (waiting, quiet, said) = (VecDeque::new(), HashMap::new(), 0);
        Self { signals, store, index, replica, notes, windows, sweep, busy, waiting, quiet, said }
    }

    /// Runs until `stop` is done, and looks once more then. What was seen and is not noted by
    /// then is lost: a network is met again, and a burst is over.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        let signals = self.signals.clone();
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = signals.shared.bell.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "what was seen of keys was not noted, trying again in a second");
            }
        }
        if !matches!(tokio::time::timeout(LAST, self.look()).await, Ok(Ok(()))) {
            tracing::warn!("the database did not take what was seen of keys last");
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        self.signals.shared.passes.send_modify(|passes| passes.begun += 1);
        let now = self.replica.now();
        self.take(now);
        for finding in self.windows.look(&self.signals, &self.index, now) {
            self.wait(finding, now);
        }
        self.say_left_out(now);
        self.note(now).await?;
        self.look_up(now).await?;
        self.note(now).await?;
        self.signals.shared.passes.send_modify(|passes| passes.done = passes.begun);
        Ok(())
    }

    /// At most a whole queue, however fast it fills.
    fn take(&mut self, now: Timestamp) {
        for _ in 0..super::QUEUE {
            match self.notes.try_recv() {
                Ok(Note::Denied(key)) => self.windows.open(key),
                Ok(Note::Found(finding)) => self.wait(finding, now),
                Err(_) => return,
            }
        }
    }

    fn wait(&mut self, finding: Finding, now: Timestamp) {
        let is_quiet = self.quiet.get(&known(&finding)).is_some_and(|until| now < *until);
        if is_quiet {
            return;
        }
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(finding);
        } else {
            self.signals.leave_out();
        }
    }

    /// At most once a minute, and while the database is away too: that is when there is no room.
    fn say_left_out(&mut self, now: Timestamp) {
        let minute = now.seconds().div_euclid(60);
        if self.said == minute {
            return;
        }
        self.said = minute;
        let left_out = self.signals.take_left_out();
        if left_out > 0 {
            tracing::warn!(target: "portcullis::signals", left_out, "more was unlike before than there was room for");
        }
    }

    /// Notes all that waits, a batch at a time. What fails waits for the next look, but for
    /// what would fail for ever.
    async fn note(&mut self, now: Timestamp) -> Result<(), Error> {
        while !self.waiting.is_empty() {
            let batch: Arc<[Finding]> = self.waiting.iter().take(BATCH).cloned().collect();
            let noted = self.store.note_findings(Arc::clone(&batch)).await;
            if matches!(noted, Ok(_) | Err(Error::Corrupt(_))) {
                self.waiting.drain(..batch.len());
            }
            for (finding, noted) in batch.iter().zip(noted?) {
                log(finding, &noted);
                self.remember(finding, &noted, now);
            }
        }
        Ok(())
    }

    /// A hint: the store decides. A network has its own memory.
    fn remember(&mut self, finding: &Finding, noted: &Noted, now: Timestamp) {
        let until = match noted {
            Noted::Quiet(until) => *until,
            // As long as the least cool-down.
            Noted::Told | Noted::Held => now.checked_add(crate::domain::signal::COOL_DOWN),
        };
        let is_network = matches!(finding.sign, Sign::Network(_));
        if let (Some(until), false, true) = (until, is_network, self.quiet.len() < MOST_QUIET) {
            self.quiet.insert(known(finding), until);
        }
    }

    /// Once a minute sweeps; and looks some of the busy keys up.
    async fn look_up(&mut self, now: Timestamp) -> Result<(), Error> {
        if let Some(is_another_day) = self.sweep.is_due(now) {
            let signals = self.signals.clone();
            let round = tokio::task::spawn_blocking(move || sweep::round(&signals, now, is_another_day));
            let swept = round.await.map_err(|error| Error::TaskLost(error.to_string()))?;
            swept.denied.into_iter().for_each(|key| self.windows.open(key));
            self.quiet.retain(|_, until| now < *until);
            if self.busy.is_empty() {
                self.busy.extend(swept.busy);
            }
            let told = self.store.tell_held_back().await?;
            if told > 0 {
                tracing::info!(target: "portcullis::signals", told, "told of an hour what was held back in it");
            }
        }
        for _ in 0..LOOKED_UP {
            let Some((whose, chain)) = self.busy.pop_front() else { break };
            let Some(key_id) = whose.key_id else { continue };
            let (requests, usual) = self.store.volume(whose, now).await?;
            let application = self.index.application(whose.application_id);
            let factor = application.map(|it| it.alert_thresholds).unwrap_or_default().volume_factor();
            if is_sudden(requests, usual, factor) {
                let sign = Sign::Volume { requests, usual };
                self.wait(Finding { application_id: whose.application_id, key_id, chain, sign }, now);
            }
        }
        Ok(())
    }
}

fn known(finding: &Finding) -> Known {
    let detail = match &finding.sign {
        // In another period it is another one.
        Sign::QuotaExceeded { name, start } => format!("{name} {}", start.micros()).into(),
        sign => sign.detail().into(),
    };
    (finding.subject(), finding.sign.kind(), detail)
}

/// For whoever reads the log and no webhook.
fn log(finding: &Finding, noted: &Noted) {
    let Finding { application_id, key_id, sign, .. } = finding;
    let kind = sign.kind();
    match noted {
        Noted::Told => {
            tracing::warn!(target: "portcullis::signals", %application_id, %key_id, kind, what = ?sign, "a key behaves unlike before");
        }
        Noted::Held => {
            tracing::debug!(target: "portcullis::signals", %application_id, %key_id, kind, "its application was told enough in this hour");
        }
        Noted::Quiet(_) => {}
    }
}
