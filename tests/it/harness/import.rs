//! Keys of another system.

use portcullis::pb;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::{Persona, Server};

pub(crate) const IMPORT: &str = "KeyService/ImportKeys";

/// A text that we would not make.
pub(crate) fn text(number: usize) -> String {
    format!("legacy.{number:06}-Zm9vYmFyYmF6")
}

pub(crate) fn sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

/// A key with such a text, that may `tasks:read`.
pub(crate) fn old_key(number: usize) -> pb::KeyToImport {
    old_key_of(&text(number), &format!("old {number}"))
}

pub(crate) fn old_key_of(text: &str, name: &str) -> pb::KeyToImport {
    pb::KeyToImport {
        secret_sha256: sha256(text),
        name: name.to_owned(),
        prefix: text[..8.min(text.len() - 1)].to_owned(),
        permissions: vec!["tasks:read".to_owned()],
        ..Default::default()
    }
}

impl Server {
    pub(crate) fn import_of(&self, keys: Vec<pb::KeyToImport>) -> pb::ImportKeysRequest {
        pb::ImportKeysRequest { application_id: self.app.clone(), keys, ..Default::default() }
    }

    pub(crate) async fn try_import(
        &self,
        by: &Persona,
        request: &pb::ImportKeysRequest,
    ) -> Result<pb::ImportKeysResponse, Status> {
        self.signed(by, IMPORT, request).await
    }

    /// By the admin, to its application.
    pub(crate) async fn import(&self, keys: Vec<pb::KeyToImport>) -> pb::ImportKeysResponse {
        self.try_import(&self.admin, &self.import_of(keys)).await.expect("import")
    }

    /// The id of an application beside its own.
    pub(crate) async fn another_app(&self) -> String {
        let application = Some(pb::Application { name: "another".to_owned(), ..Default::default() });
        let request = pb::CreateApplicationRequest { application, ..Default::default() };
        let made: pb::CreateApplicationResponse =
            self.signed(&self.admin, "ApplicationService/CreateApplication", &request).await.expect("application");
        made.application.expect("an application").application_id
    }

    /// So many, in one call.
    pub(crate) async fn import_many(&self, numbers: std::ops::Range<usize>) -> pb::ImportKeysResponse {
        self.import(numbers.map(old_key).collect()).await
    }
}

/// How many were made, and how many were there.
pub(crate) fn counts(answer: &pb::ImportKeysResponse) -> (i32, i32) {
    let existed = answer.keys.iter().filter(|key| key.existed).count();
    assert_eq!(
        (existed as i32, answer.keys.len()),
        (answer.existing_count, (answer.imported_count + answer.existing_count) as usize)
    );
    (answer.imported_count, answer.existing_count)
}
