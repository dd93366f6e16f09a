use tonic_types::StatusExt as _;

use super::{super::failure::Failure, batch::Batch, problems::Problems};
use crate::{client::CallFailed, pb};

/// What came of a file.
#[derive(Debug)]
pub(super) struct Sent {
    rows: u64,
    imported: u64,
    existing: u64,
    dry_run: bool,
    seconds: f64,
    pub(super) problems: Problems,
    /// Why it is not whole, beside rows that were refused.
    pub(super) failure: Option<Failure>,
}

impl Sent {
    pub(super) fn nothing(rows: u64, dry_run: bool) -> Self {
        Self { rows, imported: 0, existing: 0, dry_run, seconds: 0.0, problems: Problems::default(), failure: None }
    }

    /// The file was wrong.
    pub(super) fn wrong(rows: u64, dry_run: bool, problems: Problems) -> Self {
        Self { problems, ..Self::nothing(rows, dry_run) }
    }

    pub(super) fn done(&self) -> u64 {
        self.imported + self.existing
    }

    pub(super) fn took(&mut self, seconds: f64) {
        self.seconds = seconds;
    }

    /// Takes note of a batch. These three answer whether to go on.
    pub(super) fn add(&mut self, answer: &pb::ImportKeysResponse) -> bool {
        self.imported += u64::try_from(answer.imported_count).unwrap_or_default();
        self.existing += u64::try_from(answer.existing_count).unwrap_or_default();
        true
    }

    pub(super) fn failed(&mut self, failure: impl Into<Failure>) -> bool {
        self.failure.get_or_insert(failure.into());
        false
    }

    /// Rows of a batch, or the call as such.
    pub(super) fn refused(&mut self, batch: &Batch, failed: CallFailed) -> bool {
        let Some(rows) = wrong_rows(batch, &failed) else { return self.failed(failed) };
        for (line, what) in rows {
            if what.ends_with("left out here") {
                self.problems.cut();
            }
            self.problems.add(line, what);
        }
        self.dry_run
    }

    pub(super) fn summary(&self) -> String {
        let Self { imported, existing, rows, seconds, .. } = self;
        let did = if self.dry_run { "would import" } else { "imported" };
        let left = rows.saturating_sub(self.done());
        let left = if left > 0 { format!(", {left} are left") } else { String::new() };
        format!("{did} {imported} of {rows} keys, {existing} were there already{left} ({seconds:.1} s)")
    }

    pub(super) fn json(&self) -> String {
        let problem = |(line, what): &(u64, String)| serde_json::json!({"line": line, "problem": what});
        serde_json::json!({
            "rows": self.rows,
            "imported": self.imported,
            "existing": self.existing,
            "left": self.rows.saturating_sub(self.done()),
            "dry_run": self.dry_run,
            "seconds": (self.seconds * 1000.0).round() / 1000.0,
            "problems": self.problems.told().iter().map(problem).collect::<Vec<_>>(),
            "problem_count": self.problems.count(),
        })
        .to_string()
    }
}

/// By line, where the server says of rows what is wrong, and of nothing else.
fn wrong_rows(batch: &Batch, failed: &CallFailed) -> Option<Vec<(u64, String)>> {
    let CallFailed::Status(status) = failed else { return None };
    let details = status.get_error_details();
    let violations = &details.bad_request()?.field_violations;
    let rows = violations.iter().map(|violation| {
        let (at, field) = place(&violation.field)?;
        Some((*batch.lines.get(at)?, format!("{field}: {}", violation.description)))
    });
    rows.collect::<Option<Vec<_>>>().filter(|rows| !rows.is_empty())
}

/// `keys[17].name` as 17 and `name`.
fn place(field: &str) -> Option<(usize, &str)> {
    let (at, field) = field.strip_prefix("keys[")?.split_once(']')?;
    Some((at.parse().ok()?, field.strip_prefix('.').unwrap_or("key")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_says_its_row() {
        assert_eq!(place("keys[17].labels[0].key"), Some((17, "labels[0].key")));
        assert_eq!((place("keys"), place("keys[x].name"), place("application_id")), (None, None, None));
    }

    #[test]
    fn the_summary_says_what_is_left() {
        let mut sent = Sent::nothing(10, false);
        sent.add(&pb::ImportKeysResponse { imported_count: 4, existing_count: 3, ..Default::default() });
        assert_eq!(sent.summary(), "imported 4 of 10 keys, 3 were there already, 3 are left (0.0 s)");
        let json: serde_json::Value = serde_json::from_str(&sent.json()).expect("JSON");
        assert_eq!((&json["imported"], &json["existing"], &json["left"]), (&4.into(), &3.into(), &3.into()));
    }
}
