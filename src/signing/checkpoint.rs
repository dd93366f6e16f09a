const SCHEME: &str = "PORTCULLIS1-AUDIT-CHECKPOINT";

/// The parts of a checkpoint of the audit log that its signature covers: this event had this
/// hash, and so all before it was as it was.
///
/// The signed text is seven lines, each ended by LF. Its first line is that of no call, and no
/// token has lines, so no signature over anything else passes for one over a checkpoint. No
/// part may hold an LF: whoever reads one sees to that.
#[derive(Debug, Clone, Copy)]
pub struct SignedCheckpoint<'a> {
    /// Which deployment is meant.
    pub audience: &'a str,
    /// The name of the history.
    pub log_id: &'a str,
    pub seq: i64,
    /// In lowercase hex.
    pub hash: &'a str,
    /// RFC 3339.
    pub time: &'a str,
    pub kid: &'a str,
}

impl SignedCheckpoint<'_> {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { audience, log_id, seq, hash, time, kid } = self;
        format!("{SCHEME}\n{audience}\n{log_id}\n{seq}\n{hash}\n{time}\n{kid}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_lines_each_ended_by_lf() {
        let checkpoint = SignedCheckpoint {
            audience: "portcullis",
            log_id: "log",
            seq: 7,
            hash: "00ff",
            time: "2026-11-21T00:00:00Z",
            kid: "k",
        };
        assert_eq!(
            checkpoint.text(),
            "PORTCULLIS1-AUDIT-CHECKPOINT\nportcullis\nlog\n7\n00ff\n2026-11-21T00:00:00Z\nk\n"
        );
    }
}
