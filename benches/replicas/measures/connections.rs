use std::time::Duration;

use tokio::task::JoinSet;

use crate::{Setting, deployment::Deployment, figure::Figure};

pub(super) async fn measure(setting: &Setting) {
    let deployment = Deployment::make(&setting.cluster).await;
    let replica = deployment.replica(&["--lease", "10s"]).await;
    let caller = &replica.caller;
    let application = caller.application().await;
    tokio::time::sleep(setting.full_or(Duration::from_secs(3), Duration::from_secs(1))).await;
    let sessions = || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'portcullis'";
        deployment.database.psql(sql)
    };
    setting.report.print(&Figure::new("idle").with("sessions", sessions()));

    let mut busy = JoinSet::new();
    // Enough for a few looks at them.
    let each = setting.full_or(10, 2);
    for _ in 0..64 {
        let (caller, application) = (caller.clone(), application.clone());
        busy.spawn(async move {
            for _ in 0..each {
                let _ = caller.create(caller.creation(&application)).await;
                let _ = caller.list(&application).await;
            }
        });
    }
    let mut most = 0;
    while busy.try_join_next().is_none() {
        most = most.max(sessions().parse::<u32>().unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    busy.abort_all();
    setting.report.print(&Figure::new("64 callers that write and list").with("sessions_at_most", most));
}
