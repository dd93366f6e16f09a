//! What the service does by itself: has it done, and looks at what it told.

use portcullis::pb;
use tonic::Status;

use super::{Persona, Rows, Server, times::seconds};

/// Something that people are told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) kind: String,
    pub(crate) key_id: String,
    pub(crate) data: serde_json::Value,
}

impl Server {
    /// Waits until all that is due now is done.
    pub(crate) async fn settled(&self) {
        assert!(self.running().jobs().settled().await, "the jobs do not get through");
    }

    /// Moves the clock on by so many seconds, and waits until what is due then is done.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.advance(std::time::Duration::from_secs(seconds)).await;
        self.settled().await;
    }

    /// What was told of a key, in order, as `expiring expiry`, `renewed`, … What looks suspicious comes by and
    /// by, between the others: see `suspicions`.
    pub(crate) async fn told(&self, key: &pb::Key) -> Vec<String> {
        let all = self.all_told().await;
        let of_it = all.into_iter().filter(|told| told.key_id == key.key_id && told.kind != "key.suspicious");
        let word = |told: Told| {
            let kind = told.kind.trim_start_matches("key.").to_owned();
            told.data["due"].as_str().map(|due| format!("{kind} {due}")).unwrap_or(kind)
        };
        of_it.map(word).collect()
    }

    pub(crate) async fn all_told(&self) -> Vec<Told> {
        let rows = Rows::of(self).await;
        let payloads = rows.texts("SELECT payload FROM notice ORDER BY seq").await;
        let read = |payload: String| {
            let payload: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
            let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
            let (kind, key_id) = (text(&payload["type"]), text(&payload["data"]["key"]["key_id"]));
            Told { kind, key_id, data: payload["data"].clone() }
        };
        payloads.into_iter().map(read).collect()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        Rows::of(self).await.number(sql).await
    }

    pub(crate) async fn sealed_secret(
        &self,
        by: &Persona,
        key_id: &str,
    ) -> Result<pb::GetSealedSecretResponse, Status> {
        let request = pb::GetSealedSecretRequest {
            application_id: self.app.clone(),
            key_id: key_id.to_owned(),
            ..Default::default()
        };
        self.signed(by, "KeyService/GetSealedSecret", &request).await
    }

    /// Sets the overlap of the application.
    pub(crate) async fn set_overlap(&self, overlap: i64) {
        self.choose(&["overlap"], pb::Application { overlap: seconds(overlap), ..Default::default() }).await;
    }
}

/// A key but for what was counted of it, which is written once a second.
pub(crate) fn uncounted(key: pb::Key) -> pb::Key {
    pb::Key { usage: None, last_used_time: None, ..key }
}
