use std::path::{self, Path};

use prost::Message as _;
use tokio::task::JoinHandle;

use super::{failure::Failure, out::Out};
use crate::{
    client::{Client, Credentials, Proof, Schema, Tls, connect},
    domain::application::Application,
    pb::{self, watch_revocations_response::Item},
};

/// What `portcullis dev` tells its user: where things are, what to type, and each
/// revocation as a watcher hears of it.
pub(super) struct Guide {
    out: Out,
    endpoint: String,
    credentials: String,
    application: String,
}

impl Guide {
    pub(super) fn new(
        out: Out,
        endpoint: String,
        credentials: &Path,
        application: &Application,
    ) -> Result<Self, Failure> {
        let credentials = absolute(credentials)?;
        Ok(Self { out, endpoint, credentials, application: application.id.to_string() })
    }

    /// Prints it, and goes on printing what is revoked.
    pub(super) async fn print(mut self, is_new: bool, credentials: Credentials) -> Result<JoinHandle<()>, Failure> {
        let mut watch = Watch::open(&self.endpoint, credentials).await?;
        self.out.line(&self.text(is_new)?)?;
        let Self { mut out, .. } = self;
        Ok(tokio::spawn(async move {
            while let Some(line) = watch.next().await {
                if out.line(&line).is_err() {
                    return;
                }
            }
        }))
    }

    fn text(&self, is_new: bool) -> Result<String, Failure> {
        let Self { endpoint, credentials, application, .. } = self;
        let did = if is_new {
            "Made the database, an application and an admin's credentials."
        } else {
            "Going on where it was."
        };
        let path = match program_folder()? {
            Some(folder) => format!("  export PATH={}:\"$PATH\"\n", quoted(&folder)),
            None => String::new(),
        };
        let (file, url) = (quoted(credentials), quoted(endpoint));
        Ok(format!(
            "\
Portcullis is listening on {endpoint}. {did}

  application   demo, {application}
  credentials   {credentials} (an admin; keep it to yourself)

Paste this into another terminal:

{path}  export PORTCULLIS_CREDENTIALS={file}
  export PORTCULLIS_ENDPOINT={url}
  export PORTCULLIS_APP={application}
{COMMANDS}
Ctrl-C stops the server and keeps the data. This is its own watch:"
        ))
    }
}

/// No word of the comments is more than a word to a shell that takes none when it is typed at.
const COMMANDS: &str = r#"
  # make a key, whose secret is shown once
  made=$(portcullis call KeyService/CreateKey -d '{"application_id": "'$PORTCULLIS_APP'", "name": "first", "permissions": ["tasks:read"]}')
  printf '%s\n' "$made"
  key=$(printf '%s\n' "$made" | sed -n 's/.*"key_id": "\(.*\)".*/\1/p')
  secret=$(printf '%s\n' "$made" | sed -n 's/.*"secret": "\(.*\)".*/\1/p')

  # ask whether it is good for tasks:read
  portcullis call KeyService/VerifyKey -d '{"secret": "'$secret'", "required_permissions": ["tasks:read"]}'

  # begin to watch, and keep the place in the history
  place=$(portcullis call KeyService/WatchRevocations --max-messages 1 | sed 's/.*"resume_token":"\(.*\)".*/\1/')

  # take the key back: when this returns, nobody answers VALID any more
  portcullis call KeyService/RevokeKey -d '{"application_id": "'$PORTCULLIS_APP'", "key_id": "'$key'", "reason": "REVOKE_REASON_COMPROMISED"}'
  portcullis call KeyService/VerifyKey -d '{"secret": "'$secret'"}'

  # watch on from the place: nothing was missed
  portcullis call KeyService/WatchRevocations --max-messages 1 -d '{"resume_token": "'$place'"}'
"#;

/// What must be in PATH for the commands: nothing when the program was found there.
fn program_folder() -> Result<Option<String>, Failure> {
    let program = std::env::args_os().next().unwrap_or_default();
    match Path::new(&program).parent() {
        Some(folder) if !folder.as_os_str().is_empty() => absolute(folder).map(Some),
        _ => Ok(None),
    }
}

/// Good in whatever folder the other terminal is.
fn absolute(path: &Path) -> Result<String, Failure> {
    Ok(path::absolute(path).map_err(Failure::failed)?.display().to_string())
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A watch like anybody's, over the wire.
struct Watch(tonic::Streaming<bytes::Bytes>);

impl Watch {
    async fn open(endpoint: &str, credentials: Credentials) -> Result<Self, Failure> {
        let endpoint = endpoint.parse().map_err(Failure::failed)?;
        let channel = connect(&endpoint, &Tls::default()).await.map_err(Failure::failed)?;
        let method = Schema::new().method("KeyService/WatchRevocations").map_err(Failure::failed)?;
        let request = pb::WatchRevocationsRequest::default().encode_to_vec().into();
        let client = Client::new(channel, Some(credentials));
        let stream = client.stream(&method, request, Proof::AsNeeded).await.map_err(Failure::failed)?;
        Ok(Self(stream))
    }

    /// The next revocation as a line; bookmarks are passed over.
    async fn next(&mut self) -> Option<String> {
        loop {
            let bytes = self.0.message().await.ok()??;
            let item = pb::WatchRevocationsResponse::decode(bytes).ok()?.item?;
            if let Item::Revocation(revocation) = item {
                let cause = revocation.cause().as_str_name().trim_start_matches("REVOCATION_CAUSE_");
                return Some(format!("  revision {}: {} {cause}", revocation.revision, revocation.key_id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_quote_is_one_word() {
        assert_eq!(quoted("/home/o'neill/a b"), r"'/home/o'\''neill/a b'");
    }
}
