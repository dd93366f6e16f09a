//! A running server, scraped as Prometheus does it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::OnceLock,
    time::{Duration, Instant},
};

use tonic::metadata::MetadataMap;

use super::{binary::Dev, certificates, refused::Wire};

/// Labels that there may be. Each has few values, and none is of a caller's choice: no key, no application, no
/// account, no address. Think of that before you add one.
const LABELS: [&str; 17] = [
    "error_type",
    "le",
    "portcullis_cause",
    "portcullis_certificate",
    "portcullis_channel",
    "portcullis_job",
    "portcullis_level",
    "portcullis_outcome",
    "portcullis_signal",
    "portcullis_too_many",
    "portcullis_verdict",
    "portcullis_wait",
    "portcullis_weakness",
    "rpc_method",
    "rpc_status_code",
    "rpc_system_name",
    "version",
];

/// Of a server to which everything has happened once, and of its certificates by one that has some.
pub(crate) fn scraped() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let admin = ["--log", "info", "--admin-listen", "127.0.0.1:0"];
        let dev = Dev::start_with(&[&admin[..], &["--webhook-http", "--webhook-allow", "127.0.0.0/8"]].concat());
        let port = dev.admin_address();
        happen(&dev);
        let text = when_all_is_counted(port);
        assert_eq!(get(port, "/readyz"), (200, "ready\n".to_owned()));
        assert_eq!(get(port, "/livez"), (200, "alive\n".to_owned()));
        dev.stop();
        text + &certificates::shown()
    })
}

fn happen(dev: &Dev) {
    let application = format!(r#""application_id": "{}""#, dev.application);
    let nobody = r#""url": "http://127.0.0.1:1/", "event_types": ["key.created"]"#;
    dev.call("WebhookService/CreateWebhook", &format!("{{\"webhook\": {{{application}, {nobody}}}}}"));
    let made = dev.call("KeyService/CreateKey", &format!(r#"{{{application}, "name": "scraped"}}"#));
    let word = |of: &dyn Fn(&&str) -> bool| made.split('"').find(of).expect("in the answer").to_owned();
    let secret = word(&|word| word.starts_with("sk_live_") && word.len() > 20);
    let key = word(&|word| word.starts_with("key_") && word.len() == 26);
    let question = format!(r#"{{"secret": "{secret}"}}"#);
    assert!(dev.call("KeyService/VerifyKey", &question).contains("VERDICT_VALID"));
    dev.call("KeyService/RevokeKey", &format!(r#"{{{application}, "key_id": "{key}"}}"#));
    assert!(dev.call("KeyService/VerifyKey", &question).contains("VERDICT_REVOKED"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let wire = Wire::to(dev);
        wire.refused("/portcullis.v1.KeyService/CreateKey", b"", MetadataMap::new()).await;
        wire.refused("/canary.Service/Canary", b"", MetadataMap::new()).await;
    });
}

/// The first attempt to tell a webhook is made within a moment, and fails; a job looks for what is due a little later.
fn when_all_is_counted(admin: SocketAddr) -> String {
    const OF_THEMSELVES: [&str; 2] =
        ["portcullis_notice_attempts_total{", "portcullis_job_passes_total{portcullis_job=\"jobs/keys\""];
    let begun = Instant::now();
    loop {
        let (status, text) = get(admin, "/metrics");
        assert_eq!(status, 200);
        let Some(missing) = OF_THEMSELVES.into_iter().find(|line| !text.contains(line)) else { return text };
        assert!(begun.elapsed() < Duration::from_secs(30), "{missing} is not counted:\n{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("headers");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.to_owned())
}

/// Families by name, and their labels.
pub(crate) fn families(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families = BTreeMap::<String, BTreeSet<String>>::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.entry(rest.split(' ').next().expect("a name").to_owned()).or_default();
        } else if let Some((name, rest)) = line.split_once('{') {
            let family = family(name, &families);
            let (labels, _) = rest.rsplit_once('}').expect("an end");
            let keys = labels.split("\",").map(|label| label.split('=').next().expect("a key").to_owned());
            families.get_mut(&family).expect("declared").extend(keys);
        }
    }
    families
}

/// Of a sample's name.
pub(crate) fn family(name: &str, families: &BTreeMap<String, BTreeSet<String>>) -> String {
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    of_histogram.filter(|family| families.contains_key(*family)).unwrap_or(name).to_owned()
}

#[test]
fn no_label_is_of_a_callers_choice() {
    let text = scraped();
    for (family, labels) in families(text) {
        for label in labels {
            assert!(LABELS.contains(&label.as_str()), "{family} has the label {label}: see LABELS");
        }
    }
    let own_text = regex::Regex::new(
        "(?i)(key|app|sa|wh)_[0-9a-z]{22}|sk_live|anary|demo|scraped|127\\.0|[0-9a-f]{8}-[0-9a-f]{4}",
    )
    .expect("pattern");
    let found: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && own_text.is_match(line)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_happened_is_counted_where_it_belongs() {
    let text = scraped();
    for line in [
        "portcullis_verdicts_total{portcullis_verdict=\"valid\"} 1",
        "portcullis_verdicts_total{portcullis_verdict=\"revoked\"} 1",
        "portcullis_verdicts_total{portcullis_verdict=\"quota_exceeded\"} 0",
        "portcullis_refused_calls_total{rpc_method=\"portcullis.v1.KeyService/CreateKey\",error_type=\"SIGNATURE_MISSING\"} 1",
        "portcullis_refused_calls_total{rpc_method=\"_OTHER\",error_type=\"METHOD_NOT_FOUND\"} 1",
        "portcullis_refused_connections_total{portcullis_too_many=\"given_up\"} 0",
        "rpc_server_call_duration_seconds_count{rpc_system_name=\"grpc\",rpc_method=\"portcullis.v1.KeyService/VerifyKey\",rpc_status_code=\"OK\"} 2",
        "portcullis_barrier_duration_seconds_count{portcullis_wait=\"everywhere\"} 1",
        "portcullis_barrier_not_confirmed_total{portcullis_wait=\"everywhere\"} 0",
        "portcullis_index_keys 1",
        "portcullis_index_applications 1",
        "portcullis_replica_members 1",
        "portcullis_database_weakness{portcullis_weakness=\"asynchronous_standby\"} 0",
        "portcullis_watch_streams 1",
        "portcullis_watch_told_total 1",
        "portcullis_notice_attempts_total{portcullis_channel=\"webhook\",portcullis_outcome=\"failed\"} 1",
        "portcullis_job_passes_total{portcullis_job=\"jobs/keys\",portcullis_outcome=\"ok\"}",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
    let number = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in\n{text}"));
        line.rsplit(' ').next().expect("a number").parse().expect(name)
    };
    assert!(number("portcullis_lease_rest_seconds") > 0.0 && number("portcullis_lease_rest_seconds") <= 10.0);
    assert!(number("portcullis_lease_age_seconds") < 10.0 && number("portcullis_watch_lag_seconds") < 10.0);
    assert!(number("portcullis_revision") >= 3.0 && number("portcullis_job_since_done_seconds") < 30.0);
}
