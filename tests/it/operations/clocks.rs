//! A server whose clock is off against the database's: what has a date goes by the database's, and it is said.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use portcullis::pb::{self, create_key_request::Expiration};

use super::check::findings;
use crate::harness::{
    Deployment, Located as _,
    postgres::TimeOfDay,
    program::{Ended, run},
};

const SKEW: i64 = 10;
/// Near the 300 seconds that a call may be away, and by less than the clocks are.
const NEAR: i64 = 6;
const TTL: Duration = Duration::from_secs(3);

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970")
}

/// `portcullis`, on a machine whose clock is so many seconds ahead of the database's.
fn portcullis_at(deployment: &Deployment, ahead: i64, arguments: &[&str]) -> Ended {
    let time_of_day = TimeOfDay::at(&deployment.folder.path().join("program.time"));
    time_of_day.step_to(ahead);
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    time_of_day.of(&mut command);
    run(command.args(arguments).stdin(Stdio::null()))
}

#[tokio::test]
async fn postgres_a_server_whose_clock_is_ten_seconds_off_goes_by_the_database_s_and_says_so() {
    for ahead in [SKEW, -SKEW] {
        let Some(deployment) = Deployment::make_at_server().await else { return };
        let time_of_day = TimeOfDay::at(&deployment.folder.path().join("server.time"));
        time_of_day.step_to(ahead);
        let mut by = Command::new("env");
        time_of_day.of(&mut by);
        let by = by
            .get_envs()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.expect("a value").to_string_lossy()));
        let by: Vec<_> = std::iter::once("env".to_owned()).chain(by).collect();
        let by: Vec<_> = by.iter().map(String::as_str).collect();
        let mut process = deployment.serve_by(&by, &[]);
        let caller = process.caller().await;
        let application = caller.application().await;

        // What ends, ends when the database's clock says so: neither at once, nor ten seconds late.
        let request = pb::CreateKeyRequest {
            application_id: application.clone(),
            name: "short".to_owned(),
            expiration: Some(Expiration::Ttl(TTL.try_into().expect("short"))),
            ..Default::default()
        };
        let made: pb::CreateKeyResponse = caller.call("KeyService/CreateKey", &request).await.expect("create");
        assert_eq!(caller.verdict(&made.secret).await, pb::Verdict::Valid, "{ahead} s");
        let ends = made.key.and_then(|key| key.expire_time).expect("an end");
        let ends = Duration::from_secs(ends.seconds.unsigned_abs());
        while caller.verdict(&made.secret).await == pb::Verdict::Valid {
            assert!(now() < ends + Duration::from_secs(5), "{ahead} s: valid long after its end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(caller.verdict(&made.secret).await, pb::Verdict::Expired, "{ahead} s");
        assert!(now() + Duration::from_secs(2) > ends, "{ahead} s: ended long before its end");

        // A signed call may be 300 seconds away from the database's time.
        let credentials = deployment.folder.path().join("admin.json").display().to_string();
        let create = format!("{{\"application_id\": \"{application}\", \"name\": \"k\"}}");
        let call = ["call", "KeyService/CreateKey", "--credentials", &credentials, "--endpoint", &process.endpoint];
        let call = [&call[..], &["-d", &create]].concat();
        for away in [300 - NEAR, NEAR - 300] {
            let ended = portcullis_at(&deployment, away, &call);
            assert_eq!(ended.code, Some(0), "{ahead} s, dated {away} s: {}", ended.err);
        }
        for away in [300 + NEAR, -300 - NEAR] {
            let said = portcullis_at(&deployment, away, &call).refused(1);
            assert!(said.contains("TIMESTAMP_OUT_OF_WINDOW") && said.contains("server_time: "), "{said}");
            assert!(said.contains("300 seconds away") && said.contains("set this machine's clock"), "{said}");
        }

        let way = if ahead > 0 { "ahead of" } else { "behind" };
        let said = |text: &str| text.contains(&format!("s {way} the database's")) && text.contains("clock is 10.");
        let url = deployment.data.url();
        let check = portcullis_at(&deployment, ahead, &["check", "--json", "--database-url", &url]);
        let (level, figure, _) = findings(&check).remove("clock").expect("a clock");
        assert!(level == "warn" && said(&figure), "{level}: {figure}");
        assert!(process.terminate().await.success());
        let log = fs::read_to_string(deployment.log()).expect("the log");
        assert!(log.lines().any(|line| line.contains("WARN") && said(line)), "{log}");
    }
}
