//! The audit log, over the wire and past it.

use portcullis::{
    chain::{Anchor, Finding, Head, Link, Record, Report},
    client::{Account, Client, Credentials, verify_audit},
    clock::Clock,
    pb,
    signing::{DEFAULT_AUDIENCE, PrivateKey},
};
use secrecy::ExposeSecret as _;
use tonic::Status;

use super::{Persona, Rows, Server, Setup};

pub(crate) const LIST: &str = "AuditService/ListAuditEvents";

impl Server {
    pub(crate) async fn audit_as(
        &self,
        by: &Persona,
        request: &pb::ListAuditEventsRequest,
    ) -> Result<pb::ListAuditEventsResponse, Status> {
        self.by_token(by, LIST, request).await
    }

    pub(crate) async fn audit(&self, request: &pb::ListAuditEventsRequest) -> pb::ListAuditEventsResponse {
        self.audit_as(&self.admin, request).await.expect("list")
    }

    /// The newest event.
    pub(crate) async fn last_event(&self) -> pb::AuditEvent {
        let request = pb::ListAuditEventsRequest { page_size: 1, ..Default::default() };
        self.audit(&request).await.audit_events.pop().expect("an event")
    }

    /// A server whose calls the program's own client can sign: it goes by the machine's clock.
    pub(crate) async fn start_by_the_clock() -> Self {
        Self::start_with(Setup { clock: Clock::system(), ..Setup::default() }).await
    }

    /// What `portcullis audit verify` finds.
    pub(crate) async fn verified(&self, anchors: Vec<Anchor>) -> Report {
        let client = Client::new(self.channel(), Some(self.admin.credentials()));
        verify_audit(&client, anchors, |_, _| {}).await.expect("verify")
    }

    /// Whether the log could be read to its end.
    pub(crate) async fn reads_its_log(&self) -> bool {
        let client = Client::new(self.channel(), Some(self.admin.credentials()));
        verify_audit(&client, Vec::new(), |_, _| {}).await.is_ok()
    }

    pub(crate) async fn found(&self, anchors: &[Anchor]) -> Vec<Finding> {
        self.verified(anchors.to_vec()).await.findings
    }
}

impl Persona {
    pub(crate) fn credentials(&self) -> Credentials {
        let account = Account {
            client_id: self.account_id.clone(),
            client_email: self.email.clone(),
            audience: DEFAULT_AUDIENCE.to_owned(),
            endpoint: None,
        };
        let key = PrivateKey::from_pem(self.key.to_pem().expect("PEM").expose_secret()).expect("a key");
        Credentials::new(account, key)
    }
}

/// What a checkpoint says that is signed now.
pub(crate) fn anchor(head: &Head) -> Anchor {
    let Head { log_id, seq, hash, .. } = head.clone();
    Anchor { name: "checkpoint".to_owned(), log_id, seq, hash }
}

impl Rows {
    /// The log as it stands in the table.
    pub(crate) async fn links(&self) -> Vec<Link> {
        let rows = self.all("SELECT * FROM audit_event WHERE seq IS NOT NULL ORDER BY seq").await;
        let link = |row: &sea_orm::QueryResult| {
            let text = |name| row.try_get::<String>("", name).expect(name);
            let maybe = |name| row.try_get::<Option<String>>("", name).expect(name);
            let bytes = |name| row.try_get::<Vec<u8>>("", name).expect(name);
            let record = Record {
                seq: row.try_get("", "seq").expect("seq"),
                audit_id: row.try_get("", "audit_id").expect("id"),
                time: row.try_get("", "time").expect("time"),
                revision: row.try_get("", "revision").expect("revision"),
                service_account_id: maybe("service_account_id"),
                kid: maybe("kid"),
                method: text("method"),
                request_id: text("request_id"),
                peer: text("peer"),
                outcome: text("outcome"),
                application_id: maybe("application_id"),
                resource: maybe("resource"),
                before: maybe("before"),
                after: maybe("after"),
            };
            Link { record, previous: bytes("previous_hash"), hash: bytes("hash") }
        };
        rows.iter().map(link).collect()
    }

    /// Puts this log in the place of the one that is there; not its head.
    pub(crate) async fn put_links(&self, links: &[Link]) {
        self.change("DELETE FROM audit_event").await;
        for Link { record, previous, hash } in links {
            let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
            let maybe = |value: &Option<String>| value.as_deref().map_or_else(|| "NULL".to_owned(), text);
            let values = [
                record.seq.to_string(),
                self.uuid(record.audit_id),
                record.time.to_string(),
                record.revision.map_or_else(|| "NULL".to_owned(), |revision| revision.to_string()),
                maybe(&record.service_account_id),
                maybe(&record.kid),
                text(&record.method),
                text(&record.request_id),
                text(&record.peer),
                text(&record.outcome),
                maybe(&record.application_id),
                maybe(&record.resource),
                maybe(&record.before),
                maybe(&record.after),
                self.blob(previous),
                self.blob(hash),
            ];
            let columns = "seq, audit_id, time, revision, service_account_id, kid, method, request_id, peer, outcome, \
                application_id, resource, \"before\", \"after\", previous_hash, hash";
            self.change(&format!("INSERT INTO audit_event ({columns}) VALUES ({})", values.join(", "))).await;
        }
    }

    /// Says that the last event is this one.
    pub(crate) async fn put_audit_head(&self, last: &Link) {
        let (seq, hash) = (last.record.seq, self.blob(&last.hash));
        self.change(&format!("UPDATE audit_head SET seq = {seq}, hash = {hash}")).await;
    }
}

/// The same events, each hashed behind the one before it and in the place where it stands: what
/// somebody does who knows how the chain is made.
pub(crate) fn rechained(records: impl IntoIterator<Item = Record>) -> Vec<Link> {
    let mut previous = portcullis::chain::BEGIN.to_vec();
    let chain = |(seq, record): (i64, Record)| {
        let record = Record { seq, ..record };
        let hash = record.hash(&previous).to_vec();
        Link { record, previous: std::mem::replace(&mut previous, hash.clone()), hash }
    };
    (1..).zip(records).map(chain).collect()
}
