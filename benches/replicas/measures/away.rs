use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::make_keys;
use crate::{
    Setting,
    caller::Caller,
    deployment::Deployment,
    figure::Figure,
    watching::{Watching, back, lapse},
};

pub(super) async fn measure(setting: &Setting) {
    for (lease, pause) in setting.full_or(&[("2s", 8), ("10s", 20)][..], &[("2s", 3)][..]) {
        paused(setting, lease, Duration::from_secs(*pause)).await;
    }
}

async fn paused(setting: &Setting, lease: &str, pause: Duration) {
    let deployment = Deployment::make(&setting.cluster).await;
    let replicas = deployment.replicas(3, lease).await;
    let caller = &replicas.first().expect("a replica").caller;
    let application = caller.application().await;
    let good = caller.create(caller.creation(&application)).await.expect("a key");
    let keys = make_keys(caller, &application, setting.full_or(300, 100)).await;
    let mut keys = keys.iter();
    let mut key = || keys.next().expect("keys enough").clone();
    let watching = Watching::start(caller.clone(), good.secret.into(), Duration::from_millis(5));

    let node = (**setting.cluster).clone();
    let stopped = spawn_blocking(move || node.pause()).await.expect("a thread");
    let away = Instant::now();
    let hurried = revoking(caller, &application, &key(), Duration::from_secs(3));
    let patient = revoking(caller, &application, &key(), Duration::from_secs(29));
    tokio::time::sleep(pause).await;
    drop(stopped);
    let healed = Instant::now();

    let mut first_ok = None;
    while first_ok.is_none() && healed.elapsed() < Duration::from_secs(40) {
        let request = caller.revocation_within(&application, &key(), Duration::from_secs(5));
        first_ok = caller.revoke(request).await.is_ok().then(|| healed.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = watching.end().await;
    let lapse = lapse(&asked, away, healed);
    let name = format!("lease {lease}, database paused for {} s", pause.as_secs());
    let mut figure = Figure::new(format!("{name}: VerifyKey")).s("last_VALID_after_s", lapse.last_valid);
    if let Some((after, reason)) = lapse.first_refusal {
        figure = figure.with("then", reason).s("first_told_after_s", after);
    }
    setting.report.print(&figure.s("VALID_again_after_s", back(&asked, healed).unwrap_or_default()));
    for (patience, revoking) in [("3 s", hurried), ("29 s", patient)] {
        let (after, answer) = revoking.await.expect("an answer");
        let figure = Figure::new(format!("{name}: RevokeKey in it")).with("deadline", patience).with("answer", answer);
        setting.report.print(&figure.s("after_s", after));
    }
    let figure = Figure::new(format!("{name}: RevokeKey after it"));
    setting.report.print(&figure.s("OK_after_s", first_ok.unwrap_or_default()));
}

fn revoking(caller: &Caller, application: &str, key: &str, patience: Duration) -> JoinHandle<(Duration, String)> {
    let (request, caller) = (caller.revocation_within(application, key, patience), Arc::new(caller.clone()));
    tokio::spawn(async move {
        let begun = Instant::now();
        let answer = caller.revoke(request).await.map_or_else(|reason| reason, |()| "OK".to_owned());
        (begun.elapsed(), answer)
    })
}
