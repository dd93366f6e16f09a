//! The alert rules and the dashboard, by Prometheus' own tool and by what a running server shows.

use std::{collections::BTreeSet, io::Write as _, path::Path, process::Command};

use serde_json::Value;

use super::{
    scrape::{families, family, scraped},
    tool,
};

const RULES: &str = include_str!("../../helm/portcullis/files/alerts.yaml");
const RULES_TEST: &str = include_str!("alerts_test.yaml");
const DASHBOARD: &str = include_str!("../../helm/portcullis/files/dashboard.json");
const DOCUMENT: &str = include_str!("../../docs/monitoring.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn promtool(arguments: &[&str], input: Option<&str>) -> Option<(bool, String)> {
    let mut child = Command::new(tool("PORTCULLIS_TEST_PROMTOOL")?)
        .args(arguments)
        .current_dir(root())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    // It may end before it has read all.
    let _ = child.stdin.take().expect("its input").write_all(input.unwrap_or_default().as_bytes());
    let output = child.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some((output.status.success(), said))
}

#[test]
fn prometheus_finds_nothing_wrong_with_what_a_running_server_shows() {
    let Some((good, said)) = promtool(&["check", "metrics"], Some(scraped())) else { return };
    assert!(good && said.trim().is_empty(), "{said}\n{}", scraped());
    let twice = format!("{0}{0}", scraped());
    let (good, _) = promtool(&["check", "metrics"], Some(&twice)).expect("there");
    assert!(!good, "it would say so");
}

#[test]
fn each_alert_fires_and_does_not_by_prometheus_own_reckoning() {
    let Some((good, said)) = promtool(&["check", "rules", "helm/portcullis/files/alerts.yaml"], None) else { return };
    assert!(good, "{said}");
    let (good, said) = promtool(&["test", "rules", "tests/telemetry/alerts_test.yaml"], None).expect("there");
    assert!(good, "{said}");
}

fn alerts() -> Vec<&'static str> {
    RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

#[test]
fn each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not_and_says_what_to_do() {
    assert!(alerts().len() >= 12, "{:?}", alerts());
    for alert in alerts() {
        let tests: Vec<_> =
            RULES_TEST.split("- alertname: ").skip(1).filter(|test| test.lines().next() == Some(alert)).collect();
        let fires = |test: &&&str| test.split("\n  - name:").next().is_some_and(|test| test.contains("exp_alerts"));
        let firing = tests.iter().filter(fires).count();
        assert!(firing > 0 && firing < tests.len(), "{alert} fires in {firing} of {} tests", tests.len());
        assert!(
            DOCUMENT.contains(&format!("\n### {alert}\n")),
            "docs/monitoring.md does not say what to do for {alert}"
        );
        let runbook = format!("runbook: docs/monitoring.md#{}\n", alert.to_lowercase());
        assert!(RULES.contains(&runbook), "{runbook}");
    }
}

/// All words of PromQL that look like metrics of ours.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let pattern = regex::Regex::new(r"(?-u:\b)(portcullis|rpc|process)_[a-z0-9_]+(?-u:\b)").expect("pattern");
    pattern.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let of_dashboard = targets.map(|target| target["expr"].as_str().expect("an expression").to_owned());
    let of_rules = RULES.split("expr: ").skip(1).map(|rest| rest.split("labels:").next().expect("text").to_owned());
    of_dashboard.chain(of_rules).collect()
}

#[test]
fn rules_and_dashboard_name_only_what_a_running_server_shows() {
    let (shown, mut seen) = (families(scraped()), BTreeSet::new());
    let labels: BTreeSet<_> = shown.values().flatten().cloned().collect();
    for expression in expressions() {
        let named = metrics_in(&expression);
        assert!(!named.is_empty(), "{expression}");
        for name in named.into_iter().filter(|name| !labels.contains(name)) {
            let family = family(&name, &shown);
            assert!(shown.contains_key(&family), "{name} in {expression}");
            seen.insert(family);
        }
    }
    let unseen: Vec<_> = shown.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(unseen.is_empty(), "on no panel and in no rule: {unseen:?}");
}

#[test]
fn the_dashboard_is_as_grafana_reads_it() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert!(dashboard["uid"].is_string() && dashboard["title"].is_string());
    assert!(dashboard["schemaVersion"].as_u64().expect("a number") >= 36);
    let variables: Vec<_> =
        dashboard["templating"]["list"].as_array().expect("variables").iter().map(|v| &v["name"]).collect();
    assert_eq!(variables, ["datasource", "instance"]);
    let (mut ids, mut places) = (BTreeSet::new(), Vec::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{panel}");
        let grid = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
        let (x, y, w, h) = (grid("x"), grid("y"), grid("w"), grid("h"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
        let apart =
            |(x2, y2, w2, h2): &(u64, u64, u64, u64)| x + w <= *x2 || x2 + w2 <= x || y + h <= *y2 || y2 + h2 <= y;
        assert!(places.iter().all(apart), "{} lies on another", panel["title"]);
        places.push((x, y, w, h));
        assert!(["row", "timeseries", "stat"].contains(&panel["type"].as_str().expect("a type")));
        if panel["type"] != "row" {
            assert!(panel["title"].is_string() && panel["description"].is_string() && panel["fieldConfig"].is_object());
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
            let targets = panel["targets"].as_array().expect("targets");
            let references: BTreeSet<_> =
                targets.iter().map(|target| target["refId"].as_str().expect("refId")).collect();
            assert!(!targets.is_empty() && references.len() == targets.len(), "{panel}");
        }
    }
}
