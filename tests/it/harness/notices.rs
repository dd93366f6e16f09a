//! What is in the outbox, and what is in it by and by.

use portcullis::pb;
use serde_json::Value;

use super::{Rows, Server, mask};

impl Server {
    /// Waits until all that was seen of keys is noted.
    pub(crate) async fn look(&self) {
        assert!(self.running().signals().flushed().await, "the database takes no signals");
    }

    /// The `data` of all notices of a kind, oldest first.
    pub(crate) async fn notices(&self, kind: &str) -> Vec<Value> {
        let rows = Rows::of(self).await;
        let payloads = rows.texts(&format!("SELECT payload FROM notice WHERE kind = '{kind}' ORDER BY seq")).await;
        let data = |payload: &String| {
            let payload: Value = serde_json::from_str(payload).expect("JSON");
            assert_eq!(payload["type"], kind);
            payload["data"].clone()
        };
        payloads.iter().map(data).collect()
    }

    /// The details of what looks suspicious, once all that was seen is noted: why, and what belongs to it.
    pub(crate) async fn suspicions(&self) -> Vec<String> {
        self.look().await;
        let told = self.notices("key.suspicious").await;
        told.iter()
            .map(|data| {
                [data["why"].as_str().expect("why"), data["network"].as_str().unwrap_or_default()]
                    .join(" ")
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    /// Whether the key is good for a call from there.
    pub(crate) async fn verdict_from(&self, secret: &str, client_ip: &str) -> pb::Verdict {
        let client_ip = client_ip.to_owned();
        self.verdict_on(&pb::VerifyKeyRequest { client_ip, ..super::verify::about(secret) }).await
    }

    /// Sets what the application wants in the fields in `paths`.
    pub(crate) async fn choose(&self, paths: &[&str], wish: pb::Application) {
        let application = Some(pb::Application { application_id: self.app.clone(), ..wish });
        let request = pb::UpdateApplicationRequest { application, update_mask: mask(paths) };
        let method = "ApplicationService/UpdateApplication";
        let _: pb::UpdateApplicationResponse = self.signed(&self.admin, method, &request).await.expect("update");
    }

    pub(crate) async fn thresholds(&self, denied_per_minute: i32, volume_factor: i32, ignore_new_networks: bool) {
        let thresholds = pb::AlertThresholds { denied_per_minute, volume_factor, ignore_new_networks };
        let wish = pb::Application { alert_thresholds: Some(thresholds), ..Default::default() };
        self.choose(&["alert_thresholds"], wish).await;
    }
}
