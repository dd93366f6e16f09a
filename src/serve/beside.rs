//! What goes on beside the calls: what is counted and seen is written, what is due is done, and people are told.

use std::sync::Arc;

use tokio::{task::JoinHandle, time::Instant};

use super::{
    ServeError,
    ground::Ground,
    told::{Loop, said},
};
use crate::{
    jobs::{self, KeyJob, SealJob},
    limits::Budgets,
    notify::{self, Courier, Messenger, mail::Mailer},
    signals::Signals,
    usage::Usage,
};

pub(super) struct Beside {
    pub(super) budgets: Arc<Budgets>,
    pub(super) teller: JoinHandle<()>,
    pub(super) usage: Usage,
    pub(super) flush: Loop<u64, Option<Instant>>,
    pub(super) signals: Signals,
    pub(super) look: Loop<()>,
    pub(super) messenger: Messenger,
    pub(super) courier: Loop<()>,
    pub(super) jobs: jobs::Running,
}

impl Beside {
    pub(super) fn begin(
        ground: &Ground,
        notify: &notify::Settings,
        mailer: Option<Mailer>,
    ) -> Result<Self, ServeError> {
        let Ground { store, index, replica, clock, entropy } = ground;
        let (holder, sender) = (ground.name()?, ground.name()?);
        let (budgets, teller) = Budgets::new(store.clone(), clock.clone());
        let (usage, flush) = Usage::new(store.clone());
        let (signals, look) = Signals::new(store.clone(), Arc::clone(index), replica.clone());
        let messenger = Messenger::new(notify, clock.clone());
        let (s, m, e) = ((store.clone(), replica.clone()), messenger.clone(), entropy.clone());
        let courier = Courier::new(s, m, mailer, e, sender, notify.every);
        let mut jobs = jobs::Running::new(store.clone(), holder);
        jobs.start(KeyJob::new(store.clone(), replica.clone(), entropy.clone()));
        jobs.start(SealJob::new(store.clone(), replica.clone()));
        Ok(Self {
            budgets: Arc::new(budgets),
            teller: tokio::spawn(teller.run()),
            usage,
            flush: Loop::begin(|told| flush.run(told)),
            signals,
            look: Loop::begin(|told| look.run(said(told))),
            messenger,
            courier: Loop::begin(|told| courier.run(said(told))),
            jobs,
        })
    }
}
