use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, task::JoinSet};
use tonic::Request;

use crate::{Setting, caller::Caller, deployment::Deployment, figure::Figure, machine, rows, samples::Samples};

/// A call that is signed, and at which replica it is made.
struct Call {
    at: usize,
    what: What,
}

enum What {
    Create(Box<Request<portcullis::pb::CreateKeyRequest>>),
    Revoke(Request<portcullis::pb::RevokeKeyRequest>),
}

pub(super) async fn measure(setting: &Setting) {
    let deployment = Deployment::make(&setting.cluster).await;
    let mut replicas = deployment.replicas(1, "10s").await;
    let caller = replicas.first().expect("a replica").caller.clone();
    let application = caller.application().await;
    let model = caller.create(caller.creation(&application)).await.expect("a key").key.expect("a key");
    // Copied behind the replica's back, and before the two others come: those know them, and the
    // first learns each from its revocation.
    let stock = setting.full_or(10_000, 1_000);
    rows::copy_key(&deployment.database, &model.key_id, 0, stock);
    replicas.extend(deployment.replicas(2, "10s").await);
    let mut keys = (0..stock).map(rows::copied);
    let callers: Vec<_> = replicas.iter().map(|replica| replica.caller.clone()).collect();
    for (name, revoke) in [("CreateKey", false), ("RevokeKey", true)] {
        for (at_once, over) in setting.full_or(&[(1, 1), (8, 1), (64, 1), (8, 3), (64, 3)][..], &[(1, 1), (8, 3)][..]) {
            let (at_once, over) = (*at_once, *over);
            let calls = setting.full_or(1000, 120).min(at_once * setting.full_or(300, 40));
            let prepared = (0..calls).map(|n| {
                let at = n % over;
                let caller = callers[at].clone();
                let key = if revoke { keys.next() } else { None };
                (at, caller, key)
            });
            let prepared = sign(prepared.collect(), &application).await;
            let (elapsed, samples, refused) = run(&callers, prepared, at_once).await;
            let rate = samples.count() as f64 / elapsed.as_secs_f64();
            let figure = Figure::new(format!("{name}, {at_once} callers, over {over} of 3 replicas"))
                .number("a_second", rate)
                .samples(&samples);
            setting.report.print(&with_refusals(figure, &refused));
        }
    }
    for table in ["event_log", "audit_event", "nonce"] {
        setting.report.print(&kept(&deployment, table));
    }
    setting.report.say(&format!("  {}", machine::load()));
}

/// What is left of each mutation.
fn kept(deployment: &Deployment, table: &str) -> Figure {
    let sql = format!("SELECT pg_total_relation_size('{table}') / greatest(count(*), 1) FROM {table}");
    let bytes = deployment.database.psql(&sql).parse::<u64>().unwrap_or_default();
    Figure::new(format!("table {table}")).with("bytes_a_row_with_indexes", bytes)
}

/// On every CPU, before anything is measured.
async fn sign(wanted: Vec<(usize, Caller, Option<String>)>, application: &str) -> Vec<Call> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let share = wanted.len().div_ceil(cpus).max(1);
    let mut wanted = wanted.into_iter();
    let mut signing = JoinSet::new();
    for _ in 0..cpus {
        let (part, application) = (wanted.by_ref().take(share).collect::<Vec<_>>(), application.to_owned());
        signing.spawn_blocking(move || {
            let sign = |(at, caller, key): (usize, Caller, Option<String>)| {
                let what = match key {
                    Some(key) => What::Revoke(caller.revocation(&application, &key)),
                    None => What::Create(Box::new(caller.creation(&application))),
                };
                Call { at, what }
            };
            part.into_iter().map(sign).collect::<Vec<_>>()
        });
    }
    let mut calls: Vec<_> = signing.join_all().await.into_iter().flatten().collect();
    // From the end: no replica gets its share before another.
    calls.sort_by_key(|call| call.at);
    let over = calls.last().map_or(1, |call| call.at + 1);
    let each = calls.len().div_ceil(over);
    let mut places: Vec<_> = calls.into_iter().enumerate().map(|(n, call)| (n % each, call)).collect();
    places.sort_by_key(|(place, _)| *place);
    places.into_iter().map(|(_, call)| call).collect()
}

/// All of the calls, so many at once: how long that took, how long those took that succeeded, and
/// why others did not.
async fn run(callers: &[Caller], calls: Vec<Call>, at_once: usize) -> (Duration, Samples, BTreeMap<String, usize>) {
    let queue = Arc::new(Mutex::new(calls.into_iter()));
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..at_once {
        let (queue, callers) = (Arc::clone(&queue), callers.to_vec());
        running.spawn(async move {
            let (mut samples, mut refused) = (Samples::default(), BTreeMap::new());
            loop {
                let next = queue.lock().await.next();
                let Some(Call { at, what }) = next else { return (samples, refused) };
                let begun = Instant::now();
                let answer = match what {
                    What::Create(request) => callers[at].create(*request).await.map(drop),
                    What::Revoke(request) => callers[at].revoke(request).await,
                };
                match answer {
                    Ok(()) => samples.add(begun.elapsed()),
                    Err(reason) => *refused.entry(reason).or_insert(0) += 1,
                }
            }
        });
    }
    let (mut samples, mut refused) = (Samples::default(), BTreeMap::new());
    for (more, others) in running.join_all().await {
        samples.extend(more);
        for (reason, many) in others {
            *refused.entry(reason).or_insert(0) += many;
        }
    }
    (begun.elapsed(), samples, refused)
}

fn with_refusals(figure: Figure, refused: &BTreeMap<String, usize>) -> Figure {
    if refused.is_empty() {
        return figure;
    }
    let text: Vec<_> = refused.iter().map(|(reason, many)| format!("{many} {reason}")).collect();
    figure.with("refused", text.join(", "))
}
