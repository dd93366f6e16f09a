use super::{Rows, Server};

/// How much the database holds, by somebody else's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) keys: i64,
    pub(crate) nonces: i64,
    pub(crate) audits: i64,
    pub(crate) revision: i64,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) account: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) method: String,
    pub(crate) request_id: String,
    pub(crate) outcome: String,
    pub(crate) revision: Option<i64>,
}

/// Writes down a replica that has applied all there will be, and that reads so new an event at the most.
pub(crate) fn member_that_reads(version: u32) -> String {
    format!(
        "INSERT INTO replica (id, beat, acked_seq, edge_seq, lease, reads) \
         VALUES ('00000000-0000-0000-0000-000000000001', 0, {0}, {0}, 1000000, {version})",
        i64::MAX
    )
}

impl Server {
    pub(crate) async fn rows(&self) -> Counts {
        let sql = "SELECT (SELECT count(*) FROM api_key) AS keys, (SELECT count(*) FROM nonce) AS nonces, \
                   (SELECT count(*) FROM audit_event) AS audits, (SELECT seq FROM log_head) AS revision";
        let row = Rows::of(self).await.all(sql).await.pop().expect("a row");
        let count = |name| row.try_get("", name).expect(name);
        Counts { keys: count("keys"), nonces: count("nonces"), audits: count("audits"), revision: count("revision") }
    }

    /// The newest entry of the audit log.
    pub(crate) async fn last_audit(&self) -> Audit {
        let newest = "SELECT * FROM audit_event ORDER BY seq DESC LIMIT 1";
        let row = Rows::of(self).await.all(newest).await.pop().expect("an entry");
        let text = |name| row.try_get("", name).expect(name);
        Audit {
            account: row.try_get("", "service_account_id").expect("account"),
            kid: row.try_get("", "kid").expect("kid"),
            method: text("method"),
            request_id: text("request_id"),
            outcome: text("outcome"),
            revision: row.try_get("", "revision").expect("revision"),
        }
    }
}
