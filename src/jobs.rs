//! What is done when its time has come, and not because somebody calls.
//!
//! A job runs on any replica: whoever has claimed it in the database does it, a bounded
//! round at a time. A claim is for efficiency only; what a job does is decided anew inside
//! the transaction that does it, so that doing it twice, or being killed in between, does
//! nothing twice. After downtime a job finds what is due and goes on.

mod keys;
mod seals;
mod trouble;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use uuid::Uuid;

use crate::{
    meters,
    store::{Error, Store},
};
pub use keys::KeyJob;
pub use seals::SealJob;
use trouble::Trouble;

/// One of the things that are done in time.
pub trait Job: Send + 'static {
    /// As it stands in claims and in the audit.
    const NAME: &'static str;
    /// How long it rests when there is nothing to do.
    const EVERY: Duration;

    /// Whether something is due. Only looks, so that an idle service writes nothing.
    fn is_due(&mut self) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Does some of what is due, and answers whether there may be more.
    fn round(&mut self) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// The handles of all jobs, in the order in which one makes work for the next.
#[derive(Debug, Default)]
pub struct Jobs(Vec<Arc<Bell>>);

/// Jobs under way.
#[derive(Debug)]
pub struct Running {
    store: Store,
    holder: Uuid,
    tasks: JoinSet<&'static str>,
    stop: watch::Sender<bool>,
    jobs: Jobs,
}

/// Rings for one job, and hears how far it is.
#[derive(Debug, Default)]
struct Bell {
    bell: Notify,
    passes: watch::Sender<Passes>,
}

/// How many times a job looked for what is due, and up to which time it did all of it.
#[derive(Debug, Clone, Copy, Default)]
struct Passes {
    begun: u64,
    done: u64,
}

/// A holder that says nothing for so long has lost its jobs. It claims anew before each round,
/// and a round takes a fraction of this; where one takes longer, another holder waits for its
/// transaction, and finds it done.
const CLAIM: Duration = Duration::from_secs(2);
/// How many rounds before others get to look at a job.
const ROUNDS: u32 = 10_000;
/// How long somebody waits for a job.
const PATIENCE: Duration = Duration::from_secs(30);

impl Running {
    /// None yet. `holder` is this process.
    #[must_use]
    pub fn new(store: Store, holder: Uuid) -> Self {
        Self { store, holder, tasks: JoinSet::new(), stop: watch::Sender::new(false), jobs: Jobs::default() }
    }

    /// Starts a job.
    pub fn start<J: Job>(&mut self, job: J) {
        let bell = Arc::new(Bell::default());
        self.jobs.0.push(Arc::clone(&bell));
        self.tasks.spawn(run(job, self.store.clone(), self.holder, bell, self.stop.subscribe()));
    }

    /// The handles of those that were started.
    #[must_use]
    pub fn handles(&self) -> Jobs {
        Jobs(self.jobs.0.clone())
    }

    /// Waits for a job that ends by itself, which none should.
    pub async fn lost(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Ok(job)) => format!("the job {job} ended"),
            Some(Err(error)) => error.to_string(),
            None => std::future::pending().await,
        }
    }

    /// Tells them all to end between two rounds.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until they have ended, and lets go of what this process has claimed. A round that is cut off goes on
    /// elsewhere, or at the next start.
    pub async fn end(&mut self) {
        self.stop();
        while self.tasks.join_next().await.is_some() {}
        if let Err(error) = self.store.release_jobs(self.holder).await {
            tracing::warn!(%error, "claims of jobs were not let go of, and run out by themselves");
        }
    }
}

impl Jobs {
    /// Has every job do what is due now, one after the other. `false`: one of them did not get
    /// through within half a minute.
    pub async fn settled(&self) -> bool {
        for bell in &self.0 {
            let mut passes = bell.passes.subscribe();
            let wanted = passes.borrow().begun + 1;
            bell.bell.notify_one();
            let done = passes.wait_for(|passes| passes.done >= wanted);
            if !tokio::time::timeout(PATIENCE, done).await.is_ok_and(|done| done.is_ok()) {
                return false;
            }
        }
        true
    }
}

async fn run<J: Job>(
    mut job: J,
    store: Store,
    holder: Uuid,
    bell: Arc<Bell>,
    mut stop: watch::Receiver<bool>,
) -> &'static str {
    let mut trouble = Trouble::default();
    meters::JOB_DONE.done(J::NAME);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {
                meters::JOB_DONE.forget(J::NAME);
                return J::NAME;
            }
            () = bell.bell.notified() => {}
            () = tokio::time::sleep(trouble.rest(J::EVERY)) => {}
        }
        bell.passes.send_modify(|passes| passes.begun += 1);
        match pass(&mut job, &store, holder, &stop).await {
            Ok(()) => {
                meters::JOB_DONE.done(J::NAME);
                meters::JOB_PASSES.count([J::NAME, "ok"]);
                bell.passes.send_modify(|passes| passes.done = passes.begun);
                let failures = trouble.is_over();
                if failures > 0 {
                    tracing::info!(job = J::NAME, failures, "a job goes on, after failures");
                }
            }
            Err(error) => {
                meters::JOB_PASSES.count([J::NAME, "failed"]);
                if let Some(failures) = trouble.failed(J::EVERY) {
                    tracing::warn!(job = J::NAME, failures, %error, "a job failed, and is tried again");
                }
            }
        }
    }
}

/// Does all that is due, while the claim holds.
async fn pass<J: Job>(job: &mut J, store: &Store, holder: Uuid, stop: &watch::Receiver<bool>) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        if *stop.borrow() || !job.is_due().await? || !store.claim_job(J::NAME, holder, CLAIM).await? {
            return Ok(());
        }
        if !job.round().await? {
            return Ok(());
        }
    }
    Ok(())
}
