//! Rotations, by anybody.

use portcullis::pb;
use tonic::Status;

use super::{Persona, Server, times::seconds};

pub(crate) const ROTATE: &str = "KeyService/RotateKey";
pub(crate) const HOUR: i64 = 3600;

/// The request that rotates a key, with the overlap of its application.
pub(crate) fn rotation(key: &pb::Key) -> pb::RotateKeyRequest {
    let (application_id, key_id) = (key.application_id.clone(), key.key_id.clone());
    pb::RotateKeyRequest { application_id, key_id, ..Default::default() }
}

/// With an overlap of so many seconds.
pub(crate) fn rotation_with(key: &pb::Key, overlap: i64) -> pb::RotateKeyRequest {
    pb::RotateKeyRequest { overlap: seconds(overlap), ..rotation(key) }
}

/// A successor as a key that was made, and its predecessor.
pub(crate) struct Pair {
    pub(crate) old: pb::Key,
    pub(crate) new: pb::Key,
    pub(crate) secret: String,
    pub(crate) revision: i64,
}

impl Server {
    pub(crate) async fn try_rotate(
        &self,
        by: &Persona,
        request: &pb::RotateKeyRequest,
    ) -> Result<pb::RotateKeyResponse, Status> {
        self.signed(by, ROTATE, request).await
    }

    /// Rotates a key, with an overlap of so many seconds.
    pub(crate) async fn rotate(&self, key: &pb::Key, overlap: i64) -> Pair {
        self.rotate_with(&rotation_with(key, overlap)).await
    }

    pub(crate) async fn rotate_with(&self, request: &pb::RotateKeyRequest) -> Pair {
        let told = self.try_rotate(&self.admin, request).await.expect("rotate");
        let (old, new) = (told.rotated_key.expect("the old key"), told.key.expect("the successor"));
        Pair { old, new, secret: told.secret, revision: told.revision }
    }

    /// The key as it is now. What was counted of it comes by and by: see [`super::upkeep::uncounted`].
    pub(crate) async fn get_key(&self, key_id: &str) -> pb::Key {
        let request = pb::GetKeyRequest { application_id: self.app.clone(), key_id: key_id.to_owned() };
        let found: pb::GetKeyResponse = self.by_token(&self.admin, "KeyService/GetKey", &request).await.expect("get");
        found.key.expect("key")
    }

    /// A moment so many seconds from now.
    pub(crate) fn ahead(&self, seconds: i64) -> Option<prost_types::Timestamp> {
        let nanos = self.now().micros().rem_euclid(1_000_000) * 1000;
        let nanos = i32::try_from(nanos).expect("below a second");
        Some(prost_types::Timestamp { seconds: self.now().seconds() + seconds, nanos })
    }
}
