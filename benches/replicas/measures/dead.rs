use std::time::{Duration, Instant};

use portcullis::pb::Verdict;

use super::{make_keys, revoke::revoke_each};
use crate::{
    Setting,
    deployment::{Deployment, Replica},
    figure::Figure,
    samples::Samples,
};

/// What becomes of the third replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Paused,
    /// As an operator does it.
    Stopped,
}

/// How many revocations follow the first.
const AFTER: usize = 20;

pub(super) async fn measure(setting: &Setting) {
    for (lease, full, quick) in [("2s", 5, 1), ("10s", 2, 0)] {
        let deployment = Deployment::make(&setting.cluster).await;
        let two = deployment.replicas(2, lease).await;
        for end in [End::Killed, End::Paused, End::Stopped] {
            let mut each = Found::default();
            for _ in 0..setting.full_or(full, quick) {
                let third = deployment.replica(&["--lease", lease]).await;
                once(&two, third, end, &mut each).await;
            }
            each.print(setting, end, lease);
        }
    }
}

#[derive(Default)]
struct Found {
    first: Samples,
    after: Samples,
    /// From when it goes on until it answers VALID again.
    back: Samples,
}

async fn once(two: &[Replica], third: Replica, end: End, found: &mut Found) {
    let caller = &two.first().expect("a replica").caller;
    let application = caller.application().await;
    let good = caller.create(caller.creation(&application)).await.expect("a key");
    let keys = make_keys(caller, &application, 2 * AFTER).await;
    let (before, after) = keys.split_at(AFTER);
    revoke_each(caller, &application, before).await;
    let (first, after) = after.split_first().expect("keys");
    let request = caller.revocation(&application, first);
    let paused = match end {
        End::Killed => {
            third.kill();
            None
        }
        End::Paused => {
            third.signal("STOP");
            Some(third)
        }
        End::Stopped => {
            third.signal("TERM");
            Some(third)
        }
    };
    let begun = Instant::now();
    caller.revoke(request).await.expect("a revocation");
    found.first.add(begun.elapsed());
    found.after.extend(revoke_each(caller, &application, after).await);
    if let (End::Paused, Some(third)) = (end, &paused) {
        third.signal("CONT");
        let begun = Instant::now();
        while third.caller.verify(&good.secret).await != Ok(Verdict::Valid) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never came back");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        found.back.add(begun.elapsed());
        // It leaves cleanly, so that the next round begins without it.
        third.signal("TERM");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Found {
    fn print(&self, setting: &Setting, end: End, lease: &str) {
        if self.first.count() == 0 {
            return;
        }
        let how = match end {
            End::Killed => "killed (-9)",
            End::Paused => "paused (SIGSTOP)",
            End::Stopped => "told to stop (SIGTERM)",
        };
        let mut figure = Figure::new(format!("lease {lease}, one of three {how}"))
            .with("n", self.first.count())
            .ms("first_p50_ms", self.first.percentile(50))
            .ms("first_max_ms", self.first.max())
            .ms("next_p50_ms", self.after.percentile(50))
            .ms("next_max_ms", self.after.max());
        if self.back.count() > 0 {
            figure = figure.ms("goes_on_and_answers_VALID_after_p50_ms", self.back.percentile(50));
        }
        setting.report.print(&figure);
    }
}
