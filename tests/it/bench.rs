//! The measure of the hot path: that it measures what it says, not what comes out.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::program::{Checkout, Ended, run};

/// So short that its times say nothing.
const SHORT: [&str; 10] =
    ["bench", "verify", "--rounds", "2", "--seconds", "0.2", "--connections", "2", "--callers", "3"];

#[test]
fn the_measure_is_one_object_over_calls_that_were_all_answered_valid() {
    let checkout = Checkout::new();
    let temporary = checkout.file("tmp");
    fs::create_dir(&temporary).expect("folder");
    let mut command = checkout.portcullis(&[&SHORT[..], &["--json"]].concat());
    let Ended { code, out, err } = run(command.env("TMPDIR", &temporary));
    assert_eq!(code, Some(0), "{err}");
    let report: Value = serde_json::from_str(&out).expect("one object");
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {report}"));
    let each = |name: &str| report[name].as_array().expect(name).iter().map(|us| us.as_f64().expect(name)).collect();
    let (reference, subject): (Vec<f64>, Vec<f64>) = (each("reference_us_each"), each("subject_us_each"));
    assert_eq!((reference.len(), subject.len()), (2, 2));
    assert_eq!(["rounds", "seconds", "connections", "callers"].map(number), [2.0, 0.2, 2.0, 3.0], "as it was asked");
    // Medians of the rounds, rounded.
    for (name, each) in [("reference_us", &reference), ("subject_us", &subject)] {
        assert!(each.iter().all(|us| *us > 0.0), "{report}");
        assert!((number(name) - f64::midpoint(each[0], each[1])).abs() < 0.002, "{report}");
    }
    let ratios = [subject[0] / reference[0], subject[1] / reference[1]];
    assert!((number("ratio") - f64::midpoint(ratios[0], ratios[1])).abs() < 0.01, "{report}");
    assert!(number("ratio_min") <= number("ratio") && number("ratio") <= number("ratio_max"), "{report}");
    // At least one call of each caller in each round; every one that was counted was VALID.
    assert!(number("subject_calls") >= 12.0 && number("reference_calls") >= 12.0, "{report}");
    // A secret of 57 characters, an id and a permission; a token of RS256.
    assert!(number("request_bytes") > 90.0 && number("authorization_bytes") > 400.0, "{report}");
    assert!(number("response_bytes") > 90.0, "{report}");
    assert_eq!(report["profile"], if cfg!(debug_assertions) { "debug" } else { "release" });
    assert_eq!(err.contains("warning: this is a debug build"), cfg!(debug_assertions), "{err}");
    assert!(report["pinned"].is_boolean());
    assert_eq!(fs::read_dir(&temporary).expect("folder").count(), 0, "it leaves nothing behind");
}

#[test]
fn for_people_it_says_the_ratio_and_how_it_was_measured() {
    let said = Checkout::new().run(&SHORT).good();
    for part in ["VerifyKey ", "empty service ", "ratio ", "2 rounds of 0.2 s", "2 connections with 3 callers", "VALID"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// A long measure that has started its servers, which keep their data in `checkout`.
fn begun(checkout: &Checkout) -> (Child, Vec<u32>) {
    let mut command = checkout.portcullis(&["bench", "verify", "--seconds", "60"]);
    command.env("TMPDIR", checkout.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let measure = command.spawn().expect("start");
    let servers = until(|| Some(children(measure.id())).filter(|servers| servers.len() == 2));
    (measure, servers)
}

#[test]
fn its_servers_end_with_it_even_when_it_is_killed() {
    let checkout = Checkout::new();
    let (mut measure, servers) = begun(&checkout);
    measure.kill().expect("kill");
    measure.wait().expect("wait");
    until(|| servers.iter().all(|pid| is_gone(*pid)).then_some(()));
}

#[test]
fn told_to_stop_it_leaves_nothing_behind() {
    let checkout = Checkout::new();
    let before = fs::read_dir(checkout.path()).expect("folder").count();
    let (mut measure, servers) = begun(&checkout);
    assert!(fs::read_dir(checkout.path()).expect("folder").count() > before, "the data of its server");
    assert!(Command::new("kill").arg(measure.id().to_string()).status().expect("kill").success());
    assert_eq!(measure.wait().expect("wait").code(), Some(1));
    assert!(servers.iter().all(|pid| is_gone(*pid)));
    assert_eq!(fs::read_dir(checkout.path()).expect("folder").count(), before);
}

fn until<T>(mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The processes that a process started and that still run.
fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").map_while(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z")
}

/// State and parent of a process.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

#[test]
fn its_help_says_what_it_measures_and_shows_an_example() {
    let checkout = Checkout::new();
    for arguments in [&["bench", "--help"][..], &["bench", "verify", "--help"]] {
        let help = checkout.run(arguments).good();
        assert!(help.contains("\nExample:\n  portcullis bench verify --json"), "{help}");
        assert!(help.contains("Prints ") && !help.contains("reference  ") && !help.contains("subject  "), "{help}");
    }
    for (wrong, says) in [("--rounds=0", "1..=1000"), ("--seconds=0", "0.05 to 600"), ("--callers=0", "1..=200")] {
        let refused = checkout.run(&["bench", "verify", wrong]).refused(2);
        assert!(refused.contains(says), "{refused}");
    }
}
