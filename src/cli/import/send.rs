use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    super::failure::Failure,
    batch::{Batch, Filling},
    progress::Progress,
    sent::Sent,
    source::Source,
};
use crate::{
    client::{CallFailed, Client, Method, Proof, Schema},
    pb,
};

const METHOD: &str = "KeyService/ImportKeys";
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a batch is sent, while the server may take it: for about half a minute.
const TRIES: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is sent, and how.
pub(super) struct Way {
    pub(super) application_id: String,
    pub(super) dry_run: bool,
    pub(super) concurrency: usize,
    /// How many there are.
    pub(super) rows: u64,
}

/// Sends all of a file, until something is refused, the server is gone, or ctrl-C. A dry run goes on
/// behind rows that are refused.
pub(super) async fn send(client: Client, source: Source, way: Way) -> Result<Sent, Failure> {
    let method = Arc::new(Schema::new().method(METHOD).map_err(Failure::usage)?);
    let client = Arc::new(client);
    let mut progress = Progress::new(way.rows);
    let mut sent = Sent::nothing(way.rows, way.dry_run);
    let (mut batches, reading) = read(source, &way);
    let (mut calls, mut more) = (JoinSet::new(), true);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while more || !calls.is_empty() {
        tokio::select! {
            Ok(()) = &mut interrupted => {
                calls.abort_all();
                sent.failed(Failure::Failed("interrupted; run it again to go on".to_owned()));
                break;
            }
            batch = batches.recv(), if more && calls.len() < way.concurrency => match batch {
                Some(batch) => drop(calls.spawn(call(Arc::clone(&client), Arc::clone(&method), batch))),
                None => more = false,
            },
            Some(ended) = calls.join_next(), if !calls.is_empty() => {
                more &= match ended {
                    Ok((_, Ok(answer))) => sent.add(&answer),
                    Ok((batch, Err(failed))) => sent.refused(&batch, failed),
                    Err(error) => sent.failed(Failure::Failed(error.to_string())),
                };
                progress.tell(sent.done());
            }
        }
    }
    progress.clear();
    // The reader ends where nobody takes what it reads.
    drop(batches);
    if let Ok(Err(failure)) = reading.await {
        sent.failed(failure);
    }
    sent.took(progress.seconds());
    Ok(sent)
}

/// Reads the file on a thread of its own, a few batches ahead.
fn read(source: Source, way: &Way) -> (mpsc::Receiver<Batch>, JoinHandle<Result<(), Failure>>) {
    let (to, batches) = mpsc::channel(2);
    let mut filling = Filling::new(way.application_id.clone(), way.dry_run);
    let reading = tokio::task::spawn_blocking(move || {
        let (mut changed, mut wanted) = (None, true);
        source.keys(&mut |line, key| {
            match key {
                Ok(key) => wanted = filling.add(line, key).is_none_or(|batch| to.blocking_send(batch).is_ok()),
                Err(why) => changed = Some((line, why)),
            }
            wanted && changed.is_none()
        })?;
        if let Some((line, why)) = changed {
            return Err(Failure::Failed(format!("the file was changed while it was read: line {line}: {why}")));
        }
        if let (true, Some(batch)) = (wanted, filling.take()) {
            // Where nobody takes it, they know why.
            let _ = to.blocking_send(batch);
        }
        Ok(())
    });
    (batches, reading)
}

/// Sends a batch until it is taken or refused. To send one twice does no harm: what is there counts as done.
async fn call(
    client: Arc<Client>,
    method: Arc<Method>,
    batch: Batch,
) -> (Batch, Result<pb::ImportKeysResponse, CallFailed>) {
    let mut tries = 1;
    loop {
        match client.unary(&method, batch.message.clone(), Proof::AsNeeded, TIMEOUT).await {
            Err(CallFailed::Status(status)) if tries < TRIES && may_pass(&status) => {
                tokio::time::sleep(pause(&status, tries)).await;
                tries += 1;
            }
            Err(failed) => return (batch, Err(failed)),
            Ok(bytes) => {
                let answer = pb::ImportKeysResponse::decode(bytes)
                    .map_err(|error| Status::internal(format!("the answer does not read: {error}")).into());
                return (batch, answer);
            }
        }
    }
}

fn may_pass(status: &Status) -> bool {
    match status.code() {
        // A connection that broke is one of these, too.
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => true,
        Code::ResourceExhausted => {
            status.get_error_details().error_info().is_none_or(|info| info.reason != "MESSAGE_TOO_LARGE")
        }
        _ => false,
    }
}

fn pause(status: &Status, tries: u32) -> Duration {
    let told = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    let own = Duration::from_millis(100).saturating_mul(1 << tries.min(10));
    told.unwrap_or_default().max(own).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_sent_again_and_later_each_time() {
        assert!(may_pass(&Status::unavailable("x")) && !may_pass(&Status::invalid_argument("x")));
        let pauses: Vec<_> = (1..TRIES).map(|tries| pause(&Status::unavailable("x"), tries)).collect();
        assert!(pauses.is_sorted() && pauses[0] > Duration::ZERO && pauses[8] == LONGEST_PAUSE, "{pauses:?}");
    }
}
