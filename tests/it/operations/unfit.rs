//! Databases whose migrations are all recorded and that nothing can be served from: what is wrong with them is said
//! by `check` and at the start, and in the log where it comes about later.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use super::{
    sqlite::portcullis,
    standbys::{answered, line, primary, readiness},
};
use crate::harness::{
    Data, Deployment, Located as _, Rows,
    program::{Process, free_port},
    until,
};

/// What `check` says in this line, and what to do; it fails.
fn failed(url: &str, of: &str) -> (String, String) {
    let checked = portcullis(&["check", "--database-url", url]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    line(&checked.out, "fail", of)
}

fn not_served(url: &str) -> String {
    portcullis(&["serve", "--listen=127.0.0.1:0", "--log=off", "--database-url", url]).refused(1)
}

/// A role that may do so much to every table but `but`, and its URL.
fn role(primary: &crate::harness::postgres::Cluster, name: &str, may: &str, but: &[&str]) -> String {
    let mut sql = format!("CREATE ROLE {name} LOGIN PASSWORD 'own'; GRANT USAGE ON SCHEMA public TO {name}");
    sql += &format!("; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}");
    sql += &format!("; GRANT {may} ON ALL TABLES IN SCHEMA public TO {name}");
    for table in but {
        sql += &format!("; REVOKE INSERT, UPDATE, DELETE ON {table} FROM {name}");
    }
    primary.try_psql("keys", &sql).expect("a role");
    format!("postgres://{name}:own@127.0.0.1:{}/keys", primary.port)
}

#[test]
fn postgres_a_role_that_may_not_do_what_a_server_does_is_told_the_grant_and_serves_with_it() {
    let Some((primary, _)) = primary() else { return };
    let url = role(&primary, "partly", "INSERT, UPDATE, DELETE", &["nonce", "webhook"]);
    let (said, advice) = failed(&url, "tables");
    assert!(said.ends_with("the role partly may not INSERT, UPDATE, DELETE on nonce, webhook"), "{said}");
    assert_eq!(advice, "→ as their owner run GRANT INSERT, UPDATE, DELETE ON nonce, webhook TO partly");
    assert!(
        not_served(&url).ends_with("; as their owner run GRANT INSERT, UPDATE, DELETE ON nonce, webhook TO partly\n")
    );

    let url = role(&primary, "reader", "SELECT", &[]);
    let (said, advice) = failed(&url, "tables");
    assert!(
        said.contains(" nor INSERT, UPDATE, DELETE on alert, alert_hour, budget, ") && said.contains(" nonce, "),
        "{said}"
    );
    assert!(said.contains("may not INSERT on audit_event, nor "), "only a migration changes the audit log: {said}");
    let grants = advice.strip_prefix("→ as their owner run ").expect("what to run");
    primary.try_psql("keys", grants).expect("it runs as it stands there");

    // With that and no more everything is done that a deployment begins with.
    let folder = tempfile::tempdir().expect("folder");
    let credentials = folder.path().join("second.json").display().to_string();
    portcullis(&["bootstrap", "--name", "second", "--database-url", &url, "--out", &credentials]).good();
    let checked = portcullis(&["check", "--database-url", &url]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let [port, admin] = [free_port(), free_port()].map(|port| (port, format!("127.0.0.1:{port}")));
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["serve", "--database-url", &url, "--listen", &port.1, "--admin-listen", &admin.1]);
    let server = Process::start(command.stdin(Stdio::null()));
    readiness(admin.0, "\r\n\r\nready\n");
    let endpoint = format!("http://{}", port.1);
    let call = |arguments: &[&str]| {
        portcullis(&[arguments, &["--json", "--credentials", &credentials, "--endpoint", &endpoint]].concat()).good()
    };
    let text = |json: &str, pointer: &str| {
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        value.pointer(pointer).and_then(|value| value.as_str()).expect(pointer).to_owned()
    };
    let app = text(&call(&["app", "create", "--name", "demo"]), "/application/application_id");
    let made = call(&["key", "create", "--app", &app, "--name", "key", "--permission", "tasks:read"]);
    let key = text(&made, "/key/key_id");
    call(&["key", "revoke", &key, "--app", &app, "--yes"]);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("permission denied"), "{}", ended.err);
}

async fn a_dropped_table_is_named(deployment: Deployment) {
    let url = deployment.data.url();
    Rows::of(&deployment).await.change("DROP TABLE nonce").await;
    let (said, advice) = failed(&url, "tables");
    assert!(said.ends_with("the schema lacks nonce, though every migration is recorded as applied"), "{said}");
    assert!(advice.starts_with("→ what was dropped comes back with a backup; "), "{advice}");
    let refused = not_served(&url);
    assert!(refused.starts_with("error: the schema lacks nonce, though") && refused.contains("a backup"), "{refused}");
}

#[tokio::test]
async fn sqlite_a_table_that_was_dropped_is_named_by_check_and_at_the_start() {
    a_dropped_table_is_named(Deployment::of(Data::file())).await;
}

#[tokio::test]
async fn postgres_a_table_that_was_dropped_is_named_by_check_and_at_the_start() {
    let Some(deployment) = Deployment::make_at_server().await else { return };
    a_dropped_table_is_named(deployment).await;
}

async fn is_said_to_be_anothers(data: &Data) {
    let rows = Rows::begin(data).await;
    let url = data.url();
    for made in [
        "CREATE TABLE seaql_migrations (name text, run_on text)",
        "CREATE TABLE seaql_migrations (version bigint)",
        "CREATE TABLE seaql_migrations (version text, applied_at bigint)",
    ] {
        rows.change(made).await;
        let column = if made.contains("name") { "name" } else { "version" };
        rows.change(&format!("INSERT INTO seaql_migrations ({column}) VALUES (20220101)")).await;
        let own = "the table of migrations here (seaql_migrations) is another program's: give Portcullis a database of its own";
        for command in ["migrate", "serve"] {
            assert_eq!(portcullis(&[command, "--database-url", &url]).refused(1), format!("error: {own}\n"), "{made}");
        }
        let (said, advice) = failed(&url, "schema");
        assert!(said.ends_with("(seaql_migrations) is another program's"), "{said}");
        assert_eq!(advice, "→ give Portcullis a database of its own");
        rows.change("DROP TABLE seaql_migrations").await;
    }
}

#[tokio::test]
async fn sqlite_a_table_of_another_programs_migrations_is_said_to_be_that() {
    is_said_to_be_anothers(&Data::file()).await;
}

#[tokio::test]
async fn postgres_a_table_of_another_programs_migrations_is_said_to_be_that() {
    let Some(data) = Data::empty_at_server().await else { return };
    is_said_to_be_anothers(&data).await;
}

#[tokio::test]
async fn postgres_what_is_taken_away_while_it_serves_is_named_in_the_log_and_no_silence_of_the_database() {
    let Some(deployment) = Deployment::make_at_server().await else { return };
    let mut process = deployment.serve(&[]);
    let caller = process.caller().await;
    let application = caller.application().await;
    let rows = Rows::of(&deployment).await;
    for (taken, given_back, named) in [
        (
            "REVOKE INSERT ON nonce FROM CURRENT_USER",
            "GRANT INSERT ON nonce TO CURRENT_USER",
            "the database refuses: permission denied for table nonce; grant it to this role",
        ),
        (
            "ALTER TABLE nonce RENAME TO gone",
            "ALTER TABLE gone RENAME TO nonce",
            "the database refuses: relation \"nonce\" does not exist; `portcullis check` names what the schema lacks",
        ),
    ] {
        rows.change(taken).await;
        let refused = caller.create(&application).await.expect_err("nothing can be written").to_string();
        assert!(refused.contains("the database refuses what this server asks of it; nothing was written"), "{refused}");
        assert!(!refused.contains("nonce"), "in none of the database's own words: {refused}");
        let log = || fs::read_to_string(deployment.log()).expect("what it logged").replace('\\', "");
        until(named, async || log().contains(named)).await;
        assert!(!log().contains("does not answer"), "{}", log());
        rows.change(given_back).await;
        caller.create(&application).await.expect("as before");
    }
    assert!(process.terminate().await.success());
}

#[tokio::test]
async fn postgres_an_outbox_that_cannot_be_read_is_said_once_a_minute() {
    let Some(deployment) = Deployment::make_at_server().await else { return };
    let admin = free_port();
    let process = deployment.serve(&["--admin-listen", &format!("127.0.0.1:{admin}")]);
    readiness(admin, "\r\n\r\nready\n");
    let begun = Instant::now();
    Rows::of(&deployment).await.change("ALTER TABLE delivery RENAME TO gone").await;
    // Two lanes, each half a second.
    let left_out = |text: &str| {
        let is_it = |line: &&str| line.starts_with("portcullis_log_left_out_total{") && line.contains("\"too_many\"");
        let count = text.lines().find(is_it).and_then(|line| line.rsplit_once(' '));
        count.is_some_and(|(_, count)| count.parse::<f64>().is_ok_and(|count| count >= 6.0))
    };
    answered(admin, "metrics", left_out);
    assert!(process.terminate().await.success()); // with its last lines
    let log = fs::read_to_string(deployment.log()).expect("what it logged");
    let minutes = usize::try_from(begun.elapsed().as_secs() / 60).expect("few");
    let said = log.matches("what is to be told could not be read").count();
    assert!((1..=2 + minutes).contains(&said), "{said}: {log}");
}
