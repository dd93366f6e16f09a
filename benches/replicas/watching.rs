//! Somebody who asks about a good key again and again, and notes how that goes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::pb::Verdict;
use tokio::{sync::watch, task::JoinHandle};

use crate::{caller::Caller, samples::Samples};

/// One question and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    /// Why there was no verdict, if there was none.
    pub(crate) refused: Option<String>,
}

pub(crate) struct Watching {
    stop: watch::Sender<bool>,
    task: JoinHandle<Vec<Asked>>,
}

impl Watching {
    /// Asks so often, one question after the other, until it is told to end.
    pub(crate) fn start(caller: Caller, secret: Arc<str>, every: Duration) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut all = Vec::new();
            while !*stopped.borrow() {
                let sent = Instant::now();
                let refused = match caller.verify(&secret).await {
                    Ok(Verdict::Valid) => None,
                    Ok(verdict) => Some(verdict.as_str_name().to_owned()),
                    Err(reason) => Some(reason),
                };
                all.push(Asked { sent, answered: Instant::now(), refused });
                tokio::time::sleep(every).await;
            }
            all
        });
        Self { stop, task }
    }

    pub(crate) async fn end(self) -> Vec<Asked> {
        self.stop.send_replace(true);
        self.task.await.expect("what it saw")
    }
}

/// From a moment until the last question that was answered VALID was sent, until the first
/// refusal came, and why it was refused.
pub(crate) struct Lapse {
    pub(crate) last_valid: Duration,
    pub(crate) first_refusal: Option<(Duration, String)>,
}

pub(crate) fn lapse(asked: &[Asked], cut: Instant, healed: Instant) -> Lapse {
    let within = || asked.iter().filter(|one| one.sent >= cut && one.answered < healed);
    let last_valid = within().filter(|one| one.refused.is_none()).map(|one| one.sent - cut).max().unwrap_or_default();
    let refusal = within().find_map(|one| Some((one.answered - cut, one.refused.clone()?)));
    Lapse { last_valid, first_refusal: refusal }
}

/// From a moment until the first VALID came.
pub(crate) fn back(asked: &[Asked], healed: Instant) -> Option<Duration> {
    asked.iter().find(|one| one.answered >= healed && one.refused.is_none()).map(|one| one.answered - healed)
}

/// How long the answers took that were VALID.
pub(crate) fn times(asked: &[Asked]) -> Samples {
    let mut samples = Samples::default();
    for one in asked.iter().filter(|one| one.refused.is_none()) {
        samples.add(one.answered - one.sent);
    }
    samples
}
