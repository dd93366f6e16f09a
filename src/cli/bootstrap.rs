use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{failure::Failure, out::Out, serve::block_on};
use crate::{
    bootstrap,
    client::{Account, Credentials, Endpoint},
    clock::Clock,
    config::DatabaseArgs,
    domain::{account::client_email, text::Name},
    entropy::Entropy,
    signing::{DEFAULT_AUDIENCE, PrivateKey},
    store::Store,
};

/// Make an admin who may do everything, and write its credentials file
///
/// For the first start, and for the day when every admin key is lost: whoever can open the
/// database can do it. A server on SQLite must be stopped, since it holds the file; on PostgreSQL
/// servers may run, and know the account a second later. The credentials file
/// is readable by its owner only and never overwritten; the server keeps the public key.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis bootstrap --database-url sqlite:///var/lib/portcullis/portcullis.db \\
    --out admin.json --endpoint https://keys.example.com:50051")]
pub(super) struct Bootstrap {
    #[command(flatten)]
    database: DatabaseArgs,

    /// Where to write the credentials
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// What the account is called
    #[arg(long, value_name = "NAME", default_value = "admin", value_parser = name)]
    name: Name,

    /// What the deployment is called; the same as `serve --audience`
    #[arg(long, env = "PORTCULLIS_AUDIENCE", value_name = "NAME", default_value = DEFAULT_AUDIENCE)]
    audience: String,

    /// Where the service will be, for the file: callers then need not say it
    #[arg(long, env = "PORTCULLIS_ENDPOINT", value_name = "URL")]
    endpoint: Option<Endpoint>,

    /// Do nothing when there is an admin already
    #[arg(long)]
    if_needed: bool,
}

impl Bootstrap {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { database, out: path, name, audience, endpoint, if_needed } = self;
        let url = database.url().map_err(Failure::usage)?;
        let made = block_on(async {
            let entropy = Entropy::system();
            let store = Store::open(&url, Clock::system(), entropy.clone()).await.map_err(Failure::failed)?;
            if if_needed && bootstrap::has_admin(&store).await.map_err(Failure::failed)? {
                return Ok(None);
            }
            let endpoint = endpoint.map(|endpoint| endpoint.to_string());
            let made = new_admin(&store, &entropy, "bootstrap", name, audience, endpoint, &path).await;
            store.close().await;
            made.map(Some)
        })?;
        out.line(&match made {
            None => "there is an admin already; nothing was done".to_owned(),
            Some(admin) => {
                format!("made the admin {} and wrote its credentials to {}", admin.account().client_id, path.display())
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes an admin. The file is written before the account exists: a crash in between
/// leaves a file that opens nothing, never an admin whose key nobody has.
pub(super) async fn new_admin(
    store: &Store,
    entropy: &Entropy,
    command: &'static str,
    name: Name,
    audience: String,
    endpoint: Option<String>,
    path: &Path,
) -> Result<Credentials, Failure> {
    let id = bootstrap::account_id(&Clock::system(), entropy).map_err(Failure::failed)?;
    let key = PrivateKey::generate().map_err(Failure::failed)?;
    let account = Account { client_id: id.to_string(), client_email: client_email(id), audience, endpoint };
    let credentials = Credentials::new(account, key);
    credentials.write_new(path).map_err(Failure::failed)?;
    match bootstrap::admin(store, command, id, name, credentials.public_key().clone()).await {
        Ok(_) => Ok(credentials),
        Err(refusal) => {
            // The error that is told is the first one.
            let _ = std::fs::remove_file(path);
            Err(Failure::failed(refusal))
        }
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}
