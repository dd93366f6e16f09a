use portcullis::pb;
use tonic::Status;

use super::Server;

impl Server {
    /// Waits until all that was counted is in the database.
    pub(crate) async fn flush(&self) {
        assert!(self.running().usage().flushed().await, "the database takes no usage");
    }

    pub(crate) async fn try_usage(&self, request: &pb::GetKeyUsageRequest) -> Result<pb::GetKeyUsageResponse, Status> {
        self.by_token(&self.admin, "KeyService/GetKeyUsage", request).await
    }

    /// Of the last 24 hours, of a key or with an empty id of the application, once all is counted.
    pub(crate) async fn usage(&self, key_id: &str) -> pb::GetKeyUsageResponse {
        self.usage_with(key_id, |_| {}).await
    }

    pub(crate) async fn usage_with(
        &self,
        key_id: &str,
        change: impl FnOnce(&mut pb::GetKeyUsageRequest),
    ) -> pb::GetKeyUsageResponse {
        self.flush().await;
        // What is decided now is of this moment, which is not before itself.
        let end_time = Some(prost_types::Timestamp { seconds: self.now().seconds() + 60, nanos: 0 });
        let mut request = pb::GetKeyUsageRequest {
            application_id: self.app.clone(),
            key_id: key_id.to_owned(),
            end_time,
            ..Default::default()
        };
        change(&mut request);
        self.try_usage(&request).await.expect("usage")
    }

    /// One key, once all is counted.
    pub(crate) async fn used_key(&self, key_id: &str) -> pb::Key {
        self.flush().await;
        self.get_key(key_id).await
    }
}
