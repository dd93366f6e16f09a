//! Why nothing starts at a server of PostgreSQL: in its own words, with what to do.

use std::fs;

use super::{
    sqlite::portcullis,
    standbys::{line, primary},
};
use crate::harness::{Located as _, Server};

/// As a server is after its installation: passwords are asked for, and roles may do what was granted.
#[test]
fn postgres_what_keeps_a_command_from_its_database_is_said_with_what_to_do() {
    let Some((primary, url)) = primary() else { return };
    let reader = "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA public TO reader";
    primary.try_psql("keys", reader).expect("a role");
    let access =
        "local all all trust\nhost all portcullis 127.0.0.1/32 scram-sha-256\nhost all reader 127.0.0.1/32 trust\n";
    fs::write(primary.data().join("pg_hba.conf"), access).expect("who may come in");
    primary.psql("SELECT pg_reload_conf()");
    primary.until("SELECT 1 FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256'");

    let migrate = |url: &str| portcullis(&["migrate", "--database-url", url]);
    let serve = |url: &str| {
        let refused = portcullis(&["serve", "--listen=127.0.0.1:0", "--log=off", "--database-url", url]).refused(1);
        assert!(!refused.contains(" at line "), "{refused}");
        refused
    };
    let nobody = url.replace("/keys", "/none");
    assert!(serve(&nobody).contains("\"none\" does not exist; make it first: CREATE DATABASE"), "{}", serve(&nobody));
    let wrong = url.replace("pa55", "wrong");
    assert!(serve(&wrong).contains("authentication failed for user \"portcullis\"; give the role's password in"));
    let checked = portcullis(&["check", "--database-url", &wrong]).out;
    let (said, advice) = line(&checked, "fail", "database");
    assert!(said.ends_with("for user \"portcullis\"") && said.matches("postgres://").count() == 1, "{said}");
    assert!(advice.starts_with("→ give the role's password in --database-url"), "{advice}");
    let tls = serve(&format!("{url}?sslmode=require"));
    assert!(tls.contains("server does not support TLS; a URL without sslmode means sslmode=verify-full"), "{tls}");
    assert!(tls.contains("sslrootcert=") && tls.contains("sslmode=disable"), "{tls}");
    primary.psql("ALTER ROLE portcullis CONNECTION LIMIT 0");
    assert!(serve(&url).contains("too many connections for role \"portcullis\"; raise max_connections"));

    let reader = format!("postgres://reader@127.0.0.1:{}/keys", primary.port);
    let to_do = "run `portcullis migrate` as the owner of the database, or let this role use what it has made";
    assert!(serve(&reader).contains(to_do));
    let checked = portcullis(&["check", "--database-url", &reader]).out;
    let (said, advice) = line(&checked, "fail", "schema");
    assert!(said.ends_with("there is none here that this role may see") && advice.ends_with(to_do), "{checked}");
    let refused = migrate(&reader).refused(1);
    let owner = "error: this role may not change the schema (permission denied for schema public): run `portcullis migrate` as \
                 the owner of the schema\n";
    assert_eq!(refused, owner);
    primary.try_psql("keys", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").expect("granted");
    assert_eq!(migrate(&reader).good(), "there is nothing to migrate\n");
    let refused = serve(&reader);
    assert!(refused.contains("the role reader may not INSERT on audit_event, nor "), "{refused}");
}

#[tokio::test]
async fn a_number_that_the_database_itself_goes_beyond_is_not_the_last_one_of_what_was_lost() {
    let server = Server::start().await;
    server.key().await;
    let (head, data) = (server.running().replica().proofs().borrow().complete.revision, server.data.clone());
    server.ended().await;
    let url = data.url();
    let mark = |lost_to: i64| {
        let lost_to = lost_to.to_string();
        portcullis(&["restore", "--mark-only", "--lost-to", &lost_to, "--database-url", &url])
    };
    let below = mark(head.number() - 1).refused(1);
    assert!(below.contains(&format!("the database itself holds revision {head}, so ")), "{below}");
    let confirmed = portcullis(&["confirm-restore", "--accept-loss", "--database-url", &url]).refused(1);
    assert!(confirmed.contains("there is nothing to confirm"), "nothing was marked: {confirmed}");
    assert!(mark(head.number()).good().contains("none after it is known"));
    assert!(mark(head.number() + 1).good().contains("1 are lost"));
    let below = mark(head.number() - 1).refused(1);
    assert!(below.contains("the database itself holds"), "nor beside a mark that stands: {below}");
}
