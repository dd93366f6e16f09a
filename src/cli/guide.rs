use std::path::Path;

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
    pub(super) fn new(out: Out, endpoint: String, credentials: &Path, application: &Application) -> Self {
        Self { out, endpoint, credentials: credentials.display().to_string(), application: application.id.to_string() }
    }

    /// Prints it, and goes on printing what is revoked.
    pub(super) async fn print(self, is_new: bool, credentials: Credentials) -> Result<JoinHandle<()>, Failure> {
        let Self { mut out, endpoint, credentials: file, application } = self;
        let program = std::env::args().next().unwrap_or_else(|| "portcullis".to_owned());
        let did = if is_new {
            "Made a database, the application and the admin's credentials."
        } else {
            "Going on where it was."
        };
        out.line(&format!(
            "\
Portcullis is listening on {endpoint}. {did}

  application   demo, {application}
  credentials   {file} (an admin; keep it to yourself)

Paste this into another terminal:

  export PORTCULLIS_CREDENTIALS='{file}' PORTCULLIS_ENDPOINT='{endpoint}'

  # make a key; its secret is shown once
  made=$({program} call KeyService/CreateKey -d '{{\"application_id\": \"{application}\", \"name\": \"first\", \"permissions\": [\"tasks:read\"]}}')
  echo \"$made\"
  key=$(echo \"$made\" | sed -n 's/.*\"key_id\": *\"\\([^\"]*\\)\".*/\\1/p')
  secret=$(echo \"$made\" | sed -n 's/.*\"secret\": *\"\\([^\"]*\\)\".*/\\1/p')

  # is it good for tasks:read?
  {program} call KeyService/VerifyKey -d \"{{\\\"secret\\\": \\\"$secret\\\", \\\"required_permissions\\\": [\\\"tasks:read\\\"]}}\"

  # take it back: when this returns, nobody answers VALID any more
  {program} call KeyService/RevokeKey -d \"{{\\\"application_id\\\": \\\"{application}\\\", \\\"key_id\\\": \\\"$key\\\", \\\"reason\\\": \\\"REVOKE_REASON_COMPROMISED\\\"}}\"

  # hear of revocations as gateways do; ctrl-C ends it
  {program} call KeyService/WatchRevocations -d '{{}}'

Ctrl-C stops the server and keeps the data. This is its own watch:"
        ))?;
        let mut watch = Watch::open(&endpoint, credentials).await?;
        Ok(tokio::spawn(async move {
            while let Some(line) = watch.next().await {
                if out.line(&line).is_err() {
                    return;
                }
            }
        }))
    }
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
