//! Asks the store for chunks, many asks in one transaction.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Purses;
use crate::{
    clock::Clock,
    domain::refusal::Refusal,
    meters::{self, Asked},
    store::{Ask, Store},
};

/// How many asks one transaction answers at most.
const BATCH: usize = 256;

/// A key whose purses lack something, and how much a call needs.
#[derive(Debug)]
pub(super) struct Lack {
    pub(super) purses: Arc<Purses>,
    pub(super) cost: u64,
    /// Told when what was granted is in the purses.
    pub(super) told: Option<oneshot::Sender<Result<(), Refusal>>>,
}

/// The loop that fills purses. The only one that asks, so that what was granted is put where
/// it belongs even if the call that wanted it has gone.
#[derive(Debug)]
pub struct Teller {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) lacks: mpsc::Receiver<Lack>,
}

impl Teller {
    /// Runs until every handle is gone.
    pub async fn run(mut self) {
        let mut lacks = Vec::with_capacity(BATCH);
        while self.lacks.recv_many(&mut lacks, BATCH).await > 0 {
            self.serve(std::mem::take(&mut lacks)).await;
        }
    }

    async fn serve(&self, lacks: Vec<Lack>) {
        let boottime = self.clock.boottime();
        let asks: Vec<Ask> = lacks.iter().map(|lack| lack.purses.ask(lack.cost, boottime)).collect();
        let answer = self.store.hand_out(asks.clone()).await;
        if let Err(error) = &answer {
            meters::LIMIT_ASKS.add(Asked::Failed as usize, lacks.len() as u64);
            tracing::warn!(%error, "no chunk of a limit was handed out; what was granted, if it was, is lost");
        }
        for (at, lack) in lacks.into_iter().enumerate() {
            let told = match &answer {
                Ok(handed) => {
                    let any = handed.grants[at].iter().any(|grant| grant.chunk > 0);
                    meters::LIMIT_ASKS.count(if any { Asked::Granted } else { Asked::Empty } as usize);
                    lack.purses.put(&asks[at], &handed.grants[at], handed.time, handed.time_at);
                    Ok(())
                }
                Err(_) => Err(Refusal::StoreUnavailable),
            };
            lack.purses.asked();
            if let Some(tell) = lack.told {
                let _ = tell.send(told); // whoever asked may have gone
            }
        }
    }
}
