use std::time::{Duration, Instant};

use super::make_keys;
use crate::{
    Setting, caller::Caller, commits::commits, deployment::Deployment, figure::Figure, postgres::Sync, samples::Samples,
};

/// How long replicas are let alone before they are measured.
const REST: Duration = Duration::from_millis(1500);

pub(super) async fn alone(setting: &Setting) {
    by_replicas(setting, setting.full_or(&[1, 3, 5], &[1, 3]), "").await;
}

pub(super) async fn with_a_standby(setting: &Setting) {
    let primary = (**setting.cluster).clone();
    let standby = tokio::task::spawn_blocking(move || primary.standby("standby", Sync::Yes)).await;
    let _standby = standby.expect("a standby");
    by_replicas(setting, setting.full_or(&[1, 3, 5], &[3]), ", a synchronous standby").await;
}

async fn by_replicas(setting: &Setting, counts: &[usize], beside: &str) {
    let samples = setting.full_or(300, 50);
    let deployment = Deployment::make(&setting.cluster).await;
    let mut replicas = Vec::new();
    let mut application = None;
    for many in counts {
        replicas.extend(deployment.replicas(many - replicas.len(), "10s").await);
        let caller = &replicas.first().expect("a replica").caller;
        if application.is_none() {
            application = Some(caller.application().await);
        }
        let application = application.as_deref().unwrap_or_default();
        let keys = make_keys(caller, application, samples).await;
        tokio::time::sleep(REST).await;
        let bare = commits(&deployment.database.url, samples).await;
        setting.report.print(&Figure::new(format!("bare commit, {many} replicas{beside}")).samples(&bare));
        let revoked = revoke_each(caller, application, &keys).await;
        let commits = |percent| {
            let of = |samples: &Samples| samples.percentile(percent).as_secs_f64();
            of(&revoked) / of(&bare)
        };
        let figure = Figure::new(format!("RevokeKey, {many} replicas{beside}")).samples(&revoked);
        setting.report.print(&figure.number("commits_at_p50", commits(50)).number("commits_at_p99", commits(99)));
    }
}

/// One after the other.
pub(super) async fn revoke_each(caller: &Caller, application: &str, keys: &[String]) -> Samples {
    let mut samples = Samples::default();
    for key in keys {
        let request = caller.revocation(application, key);
        let begun = Instant::now();
        caller.revoke(request).await.expect("a revocation");
        samples.add(begun.elapsed());
    }
    samples
}
