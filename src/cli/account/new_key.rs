//! A key of an account, made on this machine: the service sees its public half alone.

use std::path::Path;

use crate::{
    cli::{
        failure::Failure,
        out::note,
        people::{Repeat, Session},
    },
    client::{Account, Credentials},
    pb,
    signing::PrivateKey,
};

const METHOD: &str = "ServiceAccountService/AddServiceAccountKey";

/// Before anything is made: a file is not overwritten, and can be made where it shall be.
pub(super) fn must_be_free(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
        let (folder, error) = (folder.display(), std::io::Error::from(error));
        return Err(Failure::Usage(format!("nothing can be written to the folder {folder}: {error}")));
    }
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::Usage(format!(
            "{} is there already, and is not overwritten: choose another path",
            path.display()
        ))),
        Err(_) => Ok(()),
    }
}

pub(super) fn generate() -> Result<PrivateKey, Failure> {
    PrivateKey::generate().map_err(|e| Failure::Failed(e.to_string()))
}

/// Adds it to the account, and writes the credentials file of both.
pub(super) async fn add_and_write(
    session: &Session,
    service_account_id: &str,
    key: PrivateKey,
    wait: i32,
    path: &Path,
) -> Result<(pb::AddServiceAccountKeyResponse, String), Failure> {
    let request = pb::AddServiceAccountKeyRequest {
        service_account_id: service_account_id.to_owned(),
        public_key_pem: key.public().to_pem().to_owned(),
        wait,
    };
    let answer = session.change::<_, pb::AddServiceAccountKeyResponse>(METHOD, &request, Repeat::Unsafe).await?;
    let json = answer.json()?;
    let account = answer.message.service_account.clone().unwrap_or_default();
    let mine = session.client().credentials().map(Credentials::account);
    let account = Account {
        client_id: account.service_account_id,
        client_email: account.client_email,
        audience: mine.map(|account| account.audience.clone()).unwrap_or_default(),
        endpoint: Some(session.endpoint().to_string()),
    };
    let kid = &answer.message.kid;
    Credentials::new(account, key).write_new(path).map_err(|e| {
        Failure::Failed(format!(
            "{e}; the key {kid} is of no use without the file: `portcullis account remove-key` takes it back"
        ))
    })?;
    note(&format!("wrote {}: whoever has it calls as this account", path.display()));
    Ok((answer.message, json))
}
