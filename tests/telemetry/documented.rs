//! docs/monitoring.md has every metric, and says of it what the program says.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::meters::{self, Kind};

use super::scrape::{families, scraped};

const DOCUMENT: &str = include_str!("../../docs/monitoring.md");

/// Rows of the table of metrics: cells without their backquotes.
fn rows() -> BTreeMap<String, Vec<String>> {
    let table = DOCUMENT.split("## Metrics").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a table");
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect();
    let rows: Vec<Vec<String>> = table.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
    rows.into_iter().map(|row| (row[0].clone(), row)).collect()
}

#[test]
fn every_metric_is_in_the_document_with_its_kind_unit_labels_and_meaning() {
    let (rows, shown) = (rows(), families(scraped()));
    let mut named = BTreeSet::new();
    for about in meters::read().into_iter().map(|reading| reading.about) {
        let name = meters::prometheus_name(&about);
        let kind = match about.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let row = rows.get(&name).unwrap_or_else(|| panic!("docs/monitoring.md has no row of {name}"));
        let labels = shown.get(&name).unwrap_or_else(|| panic!("a running server does not show {name}"));
        let labels: Vec<_> = labels.iter().filter(|label| *label != "le").cloned().collect();
        let expected = [name.as_str(), about.name, kind, about.unit, &labels.join(", "), about.help];
        assert_eq!(row[..], expected, "docs/monitoring.md");
        named.insert(name);
    }
    let gone: Vec<_> = rows.keys().filter(|name| !named.contains(*name)).collect();
    assert!(gone.is_empty(), "documented, and not there: {gone:?}");
}
