//! A real Envoy whose server is away, or that is away itself: nothing passes that was not
//! decided, and all is well again afterwards. And what is left in the logs.

use serde_json::{Value, json};

use crate::gateway::Gateway;

#[test]
fn nothing_passes_while_the_server_is_away_and_good_keys_pass_when_it_is_back() {
    let Some(mut gateway) = Gateway::start() else { return };
    let (_, secret) = gateway.key(&json!({}));
    let key = [("x-api-key", secret.as_str())];
    gateway.get("/account", &key).upstream();
    for _ in 0..2 {
        gateway.server.stop();
        for _ in 0..3 {
            let reply = gateway.get("/account", &key);
            assert_eq!((reply.status, reply.body.as_str()), (503, ""), "{reply:?}");
        }
        gateway.server.serve();
        gateway.until(401);
        gateway.get("/account", &key).upstream();
    }
}

#[test]
fn nothing_passes_while_the_server_hangs_and_no_client_waits_for_ever() {
    let Some(gateway) = Gateway::start() else { return };
    let (_, secret) = gateway.key(&json!({}));
    let key = [("x-api-key", secret.as_str())];
    gateway.get("/account", &key).upstream();
    // A process that is told to stop may still answer what its last threads have in hand.
    let unanswered = || (0..100).map(|_| gateway.get("/account", &key)).find(|reply| reply.status != 200);
    let reply = gateway.server.paused(unanswered).expect("a server that hangs");
    assert_eq!((reply.status, reply.body.as_str()), (503, ""), "{reply:?}");
    gateway.until(401);
    gateway.get("/account", &key).upstream();
}

#[test]
fn an_envoy_that_was_restarted_goes_on() {
    let Some(mut gateway) = Gateway::start() else { return };
    let (id, secret) = gateway.key(&json!({}));
    let (_, other) = gateway.key(&json!({}));
    gateway.get("/account", &[("x-api-key", &secret)]).upstream();
    gateway.stop_envoy();
    gateway.revoke(&id);
    gateway.start_envoy();
    assert_eq!(gateway.get("/account", &[("x-api-key", &secret)]).status, 401, "revoked meanwhile");
    gateway.get("/account", &[("x-api-key", &other)]).upstream();
}

#[test]
fn an_envoy_whose_account_is_disabled_lets_nothing_pass() {
    let Some(gateway) = Gateway::start() else { return };
    let (_, secret) = gateway.key(&json!({}));
    gateway.get("/account", &[("x-api-key", &secret)]).upstream();
    let accounts = gateway.server.call("ServiceAccountService/ListServiceAccounts", "{}");
    let accounts: Value = serde_json::from_str(&accounts).expect("JSON");
    let accounts = accounts["service_accounts"].as_array().expect("accounts");
    let account = accounts.iter().find(|account| account["name"] == "gateway").expect("the gateway's");
    let request = json!({"service_account_id": account["service_account_id"]});
    gateway.server.call("ServiceAccountService/DisableServiceAccount", &request.to_string());
    assert_eq!(gateway.get("/account", &[("x-api-key", &secret)]).status, 503);
}

/// With `docs/envoy.yaml` a request that Envoy takes is never too large for Portcullis. An
/// operator who has all headers sent along is safe too.
#[test]
fn headers_that_are_too_much_for_the_server_are_refused_and_not_waved_through() {
    let all_headers = |configuration: String| {
        let (before, rest) = configuration.split_once("allowed_headers:\n").expect("allowed_headers");
        let (_, after) = rest.split_once("encode_raw_headers: true\n").expect("encode_raw_headers");
        // The largest that Envoy takes.
        let taken = "stat_prefix: api\n          max_request_headers_kb: 8192";
        let after = after.to_owned();
        before.replacen("stat_prefix: api", taken, 1).trim_end_matches(' ').to_owned() + &after
    };
    let Some(gateway) = Gateway::start_with(all_headers) else { return };
    let (_, secret) = gateway.key(&json!({}));
    let with = |size: usize| gateway.get("/account", &[("x-api-key", &secret), ("cookie", &"x".repeat(size))]);
    with(50 * 1024).upstream();
    let reply = with(66 * 1024);
    assert_eq!((reply.status, reply.body.as_str()), (503, ""), "{reply:?}");
    with(50 * 1024).upstream();
}

#[test]
fn by_the_documented_configuration_envoy_refuses_what_is_too_much_by_itself() {
    let Some(gateway) = Gateway::start() else { return };
    let (_, secret) = gateway.key(&json!({}));
    let with = |name: &str, size: usize| gateway.get("/account", &[("x-api-key", &secret), (name, &"x".repeat(size))]);
    for name in ["cookie", "referer"] {
        with(name, 58 * 1024).upstream();
        assert_eq!(with(name, 61 * 1024).status, 431);
    }
    assert_eq!(gateway.get(&format!("/account/{}", "x".repeat(58 * 1024)), &[("x-api-key", &secret)]).status, 200);
}

#[test]
fn the_server_s_log_has_the_request_id_that_a_client_was_told_and_at_no_level_a_key() {
    let Some(mut gateway) = Gateway::start() else { return };
    gateway.server.stop();
    gateway.server.serve_with(&["--log", "trace"]);
    gateway.until(401);
    let (id, secret) = gateway.key(&json!({}));
    let bearer = format!("Bearer {secret}");
    gateway.get("/account", &[("authorization", &bearer)]).upstream();
    gateway.revoke(&id);
    let refused = gateway.get("/account", &[("x-api-key", &secret)]);
    let told = refused.refusal()["request_id"].as_str().expect("text").to_owned();
    let log = gateway.server.stop();
    let call = |line: &&str| line.contains("envoy.service.auth.v3.Authorization/Check") && line.contains(&told);
    assert!(log.lines().any(|line| call(&line)), "{told}");
    let hidden = &secret["sk_live_".len() + 6..];
    assert!((0..=hidden.len() - 12).all(|at| !log.contains(&hidden[at..at + 12])), "a part of the key is in the log");
    let envoys = gateway.stop_envoy();
    assert!(!envoys.contains(hidden), "nor in Envoy's own");
}

/// Also where an operator would rather let requests pass than lose them: this is no outage.
#[test]
fn a_misspelt_restriction_lets_nobody_pass_and_the_server_s_log_says_which_it_is() {
    let misspelt = |configuration: String| {
        let allowing = configuration.replace("failure_mode_allow: false", "failure_mode_allow: true");
        allowing.replacen("required_permissions: tasks:read\n", "required_permission: tasks:read\n", 1)
    };
    let Some(mut gateway) = Gateway::start_with(misspelt) else { return };
    let (_, secret) = gateway.key(&json!({"permissions": ["tasks:read", "tasks:write"]}));
    let key = [("x-api-key", secret.as_str())];
    let mut told = Vec::new();
    for headers in [&key[..], &[]] {
        let reply = gateway.get("/tasks", headers);
        let refusal = reply.refusal();
        assert_eq!((reply.status, refusal["type"].as_str()), (500, Some("ROUTE_INVALID")), "{reply:?}");
        assert!(!reply.body.contains("permission"), "{reply:?}");
        told.push(refusal["request_id"].as_str().expect("text").to_owned());
    }
    gateway.send("POST", "/tasks", &[("x-api-key", &secret), ("content-length", "0")]).upstream();
    let log = gateway.server.stop();
    for request_id in told {
        let says = |line: &str| line.contains(&request_id) && line.contains("required_permission");
        assert!(log.lines().any(says), "{request_id}: {log}");
    }
}
