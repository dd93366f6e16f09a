use std::{sync::Arc, time::Duration};

use super::{make_keys, revoke::revoke_each};
use crate::{
    Setting,
    deployment::Deployment,
    figure::Figure,
    watching::{Watching, times},
};

pub(super) async fn measure(setting: &Setting) {
    let many = setting.full_or(800, 100);
    let deployment = Deployment::make(&setting.cluster).await;
    let replicas = deployment.replicas(3, "10s").await;
    let [first, second, _] = &replicas[..] else { return };
    let application = first.caller.application().await;
    let good = first.caller.create(first.caller.creation(&application)).await.expect("a key");
    let secret: Arc<str> = good.secret.into();
    let keys = make_keys(&first.caller, &application, many).await;
    tokio::time::sleep(setting.full_or(Duration::from_secs(1), Duration::from_millis(300))).await;

    let watching = Watching::start(second.caller.clone(), Arc::clone(&secret), Duration::ZERO);
    tokio::time::sleep(setting.full_or(Duration::from_secs(3), Duration::from_millis(500))).await;
    let quiet = times(&watching.end().await);
    setting.report.print(&Figure::new("VerifyKey, nothing else").samples(&quiet));

    let watching = Watching::start(second.caller.clone(), secret, Duration::ZERO);
    let half = keys.len() / 2;
    // Two revoke at once: one after the other each, at the two other replicas.
    let (one, other) = keys.split_at(half);
    tokio::join!(revoke_each(&first.caller, &application, one), revoke_each(&first.caller, &application, other));
    let busy = times(&watching.end().await);
    setting.report.print(&Figure::new("VerifyKey, while another replica revokes").samples(&busy));
}
