use std::time::{Duration, Instant};

use super::{make_keys, revoke::revoke_each};
use crate::{
    Setting,
    deployment::Deployment,
    figure::Figure,
    postgres::Node,
    proxy::{Proxy, Way},
    watching::{Watching, back, lapse},
};

/// How long it stays cut off beyond its lease, and is watched afterwards.
const LONG: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_secs(1);

pub(super) async fn measure(setting: &Setting) {
    for (lease, seconds) in setting.full_or(&[("2s", 2), ("10s", 10)][..], &[("2s", 2)][..]) {
        let lease_time = Duration::from_secs(*seconds);
        for way in setting.full_or(&[Way::Silent, Way::Closed][..], &[Way::Silent][..]) {
            cut(setting, lease, lease_time, *way).await;
        }
    }
}

async fn cut(setting: &Setting, lease: &str, lease_time: Duration, way: Way) {
    let deployment = Deployment::make(&setting.cluster).await;
    let two = deployment.replicas(2, lease).await;
    let proxy = Proxy::start(setting.cluster.port).await;
    let url = Node::url_by(proxy.port, &deployment.database.name);
    let third = deployment.replica_by(&url, &["--lease", lease]).await;
    let caller = &two.first().expect("a replica").caller;
    let application = caller.application().await;
    let good = caller.create(caller.creation(&application)).await.expect("a key");
    let keys = make_keys(caller, &application, 10).await;
    let watching = Watching::start(third.caller.clone(), good.secret.into(), Duration::from_millis(2));
    tokio::time::sleep(Duration::from_millis(500)).await;

    proxy.set(way);
    let cut = Instant::now();
    let (first, others) = keys.split_first().expect("keys");
    let slow = revoke_each(caller, &application, std::slice::from_ref(first)).await.max();
    let then = revoke_each(caller, &application, others).await;
    tokio::time::sleep((cut + lease_time + setting.full_or(LONG, SHORT)).saturating_duration_since(Instant::now()))
        .await;
    proxy.set(Way::Open);
    let healed = Instant::now();
    tokio::time::sleep(setting.full_or(LONG, SHORT)).await;
    let asked = watching.end().await;
    let lapse = lapse(&asked, cut, healed);
    let how = if way == Way::Silent { "without a word" } else { "and its connections end" };
    let mut figure = Figure::new(format!("lease {lease}, cut off {how}"))
        .s("last_VALID_after_s", lapse.last_valid)
        .s("revoke_elsewhere_s", slow)
        .ms("next_p50_ms", then.percentile(50));
    if let Some((after, reason)) = lapse.first_refusal {
        figure = figure.with("told", reason).s("after_s", after);
    }
    setting.report.print(&figure.s("VALID_again_after_s", back(&asked, healed).unwrap_or_default()));
}
