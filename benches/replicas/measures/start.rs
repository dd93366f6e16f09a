use std::time::{Duration, Instant};

use portcullis::pb::Verdict;

use crate::{Setting, deployment::Deployment, figure::Figure, machine, rows};

pub(super) async fn measure(setting: &Setting) {
    let deployment = Deployment::make(&setting.cluster).await;
    let first = deployment.replica(&[]).await;
    let application = first.caller.application().await;
    let model = first.caller.create(first.caller.creation(&application)).await.expect("a key");
    let key_id = model.key.expect("a key").key_id;
    drop(first);
    let empty = begin(setting, &deployment, &model.secret, 0, 0.0).await;
    let mut there = 0;
    for keys in setting.full_or(&[100_000, 1_000_000][..], &[20_000][..]) {
        let begun = Instant::now();
        rows::copy_key(&deployment.database, &key_id, there, keys - there);
        there = *keys;
        setting.report.say(&format!("  (filled to {keys} keys in {:.1} s)", begun.elapsed().as_secs_f64()));
        begin(setting, &deployment, &model.secret, *keys, empty).await;
    }
}

/// Answers how much memory it takes, in MiB.
async fn begin(setting: &Setting, deployment: &Deployment, secret: &str, keys: usize, empty: f64) -> f64 {
    let replica = deployment.replica(&[]).await;
    assert_eq!(replica.caller.verify(secret).await, Ok(Verdict::Valid), "with all keys");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resident = machine::resident(replica.pid());
    let mut figure = Figure::new(format!("{keys} keys"))
        .s("first_answer_after_s", replica.started_in)
        .number("resident_MiB", resident);
    if keys > 0 {
        figure = figure.number("bytes_a_key", (resident - empty) * 1024.0 * 1024.0 / keys as f64);
    }
    setting.report.print(&figure);
    resident
}
