use std::{collections::BTreeSet, time::Duration};

use super::*;

#[test]
fn names_units_and_words_are_of_one_form_and_no_name_is_given_twice() {
    let (mut names, mut written) = (BTreeSet::new(), BTreeSet::new());
    for Reading { about, .. } in read() {
        assert!(names.insert(about.name), "{} is there twice", about.name);
        assert!(written.insert(prometheus_name(&about)), "{} is written as another one", about.name);
        assert!(about.name.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b)), "{}", about.name);
        let of_ours = about.name.starts_with("portcullis.");
        assert!(of_ours || ["rpc.", "process."].iter().any(|of| about.name.starts_with(of)), "{}", about.name);
        let counted = about.unit.starts_with('{') && about.unit.ends_with('}');
        assert!(counted || ["s", "By"].contains(&about.unit), "{}: {}", about.name, about.unit);
        assert!(!about.help.ends_with('.') && !about.help.contains('\n') && about.help.len() > 5, "{}", about.name);
    }
}

#[test]
fn what_threads_count_is_summed_up() {
    static COUNTER: Counter<2> =
        Counter::new(reading::About::count("portcullis.test", "{call}", "A test"), Outcome::LABELS);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| (0..1_000).for_each(|call| COUNTER.count(call % 2)));
        }
    });
    COUNTER.count(2);
    let counts: Vec<_> = reading::Instrument::read(&COUNTER).points.into_iter().map(|point| point.value).collect();
    assert_eq!(counts, [Value::Count(20_000), Value::Count(20_000)], "and what is no place is not counted");
}

#[test]
fn text_is_as_prometheus_reads_it() {
    static BARRIERS: Histogram<2> =
        Histogram::new(reading::About::seconds("portcullis.test.duration", "A test"), Waited::LABELS);
    BARRIERS.record(0, Duration::from_millis(3));
    let text = prometheus(&[reading::Instrument::read(&BARRIERS)]);
    for line in [
        "# TYPE portcullis_test_duration_seconds histogram",
        "portcullis_test_duration_seconds_bucket{portcullis_wait=\"everywhere\",le=\"0.0025\"} 0",
        "portcullis_test_duration_seconds_bucket{portcullis_wait=\"everywhere\",le=\"0.005\"} 1",
        "portcullis_test_duration_seconds_bucket{portcullis_wait=\"everywhere\",le=\"+Inf\"} 1",
        "portcullis_test_duration_seconds_sum{portcullis_wait=\"everywhere\"} 0.003",
        "portcullis_test_duration_seconds_count{portcullis_wait=\"replicas\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let build = read().into_iter().find(|reading| reading.about.name == "portcullis.build_info").expect("there");
    let expected = format!("portcullis_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
    assert!(prometheus(&[build]).ends_with(&expected));
}

#[test]
fn the_process_says_what_it_uses() {
    for name in ["process.cpu.time", "process.memory.usage", "process.unix.file_descriptor.count"] {
        let reading = read().into_iter().find(|reading| reading.about.name == name).expect(name);
        let [Point { value: Value::Number(number), .. }] = reading.points[..] else { panic!("{reading:?}") };
        assert!(number > 0.0, "{name}: {number}");
    }
}

#[test]
fn a_gauge_says_nothing_before_it_is_set_and_a_stream_is_counted_while_it_is_open() {
    static GAUGE: Gauge = Gauge::new(reading::About::gauge("portcullis.test", "s", "A test"));
    static STREAMS: UpDown = UpDown::new(reading::About::gauge("portcullis.test", "{stream}", "A test"));
    assert!(reading::Instrument::read(&GAUGE).points.is_empty());
    GAUGE.set(0.0);
    assert_eq!(reading::Instrument::read(&GAUGE).points[0].value, Value::Number(0.0));
    static ENDS: Gauges<2> = Gauges::new(reading::About::gauge("portcullis.test", "s", "A test"), Certificate::LABELS);
    ENDS.set_time(Certificate::ClientAuthority as usize, 7);
    let ends = reading::Instrument::read(&ENDS).points;
    assert_eq!(ends.len(), 1, "of the server's own nothing is known");
    assert_eq!((&*ends[0].labels[0].1, &ends[0].value), ("client_authority", &Value::Number(7.0)));
    let held = STREAMS.hold();
    assert_eq!(reading::Instrument::read(&STREAMS).points[0].value, Value::Number(1.0));
    drop(held);
    assert_eq!(reading::Instrument::read(&STREAMS).points[0].value, Value::Number(0.0));
}
