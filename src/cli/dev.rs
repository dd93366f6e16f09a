use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use zeroize::Zeroizing;

use super::{
    bootstrap::new_admin,
    failure::Failure,
    guide::Guide,
    out::Out,
    serve::{asked_to_stop, block_on, outlive_hangups, until},
};
use crate::{
    admin::{self, Probe},
    bootstrap,
    client::Credentials,
    clock::Clock,
    config::{NotifyArgs, ServeArgs},
    domain::{application::Application, text::Name},
    entropy::Entropy,
    grpc::{Ceilings, Listen},
    serve::{self, Options, Running},
    store::{DatabaseUrl, Store},
    telemetry,
};

/// Try it: one command, embedded SQLite, on this machine only
///
/// On the first start it makes the database, an application named `demo` and an admin's
/// credentials file; afterwards it goes on where it was. It prints what it did, commands to
/// paste, and every revocation as a watcher hears of it.
#[derive(Debug, Args)]
// What a newcomer should see is on standard output, and each caller hears of its own errors:
// the log stays out of the way.
#[command(mut_arg("log", |log| log.default_value("warn,portcullis::rpc=error,portcullis::signals=error")))]
#[command(after_help = "\
Example:
  portcullis dev --data-dir ./portcullis-data --listen 127.0.0.1:50051")]
pub(super) struct Dev {
    /// Where the database and the credentials are kept
    #[arg(long, env = "PORTCULLIS_DATA_DIR", value_name = "DIR", default_value = "./portcullis-data")]
    data_dir: PathBuf,

    /// The address to listen on; loopback only
    #[arg(long, env = "PORTCULLIS_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,

    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    notify: NotifyArgs,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

pub(super) const CREDENTIALS: &str = "admin.json";
const DATABASE: &str = "portcullis.db";
const SECRETS_KEY: &str = "secrets.key";
const APPLICATION: &str = "demo";

impl Dev {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        let telemetry = self.telemetry()?;
        if !self.listen.ip().is_loopback() {
            return Err(Failure::Usage(format!(
                "{} is not loopback: `dev` has no TLS and stays on this machine; use `portcullis serve`",
                self.listen
            )));
        }
        block_on(async {
            let stop = asked_to_stop()?;
            outlive_hangups(false)?;
            let (prepared, running) = self.start(&telemetry).await?;
            let guide = Guide::new(out, running.endpoint(), &self.credentials_file(), &prepared.application)?;
            let watching = guide.print(prepared.is_new, prepared.credentials).await?;
            let ended = until(running, stop).await;
            watching.abort();
            Ok(ended?)
        })?;
        telemetry.shutdown();
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn telemetry(&self) -> Result<telemetry::Guard, Failure> {
        telemetry::init(&self.telemetry).map_err(Failure::usage)
    }

    /// Makes what is not there yet, and starts a server on it.
    pub(super) async fn start(&self, telemetry: &telemetry::Guard) -> Result<(Prepared, Running), Failure> {
        let database = DatabaseUrl::sqlite(self.data_dir.join(DATABASE));
        let prepared = self.prepare(&database, &self.credentials_file()).await?;
        let probe = admin::listen(self.serve.admin_listen).await.map_err(Failure::failed)?;
        Ok((prepared, serve::start(self.options(database, telemetry, probe)?).await?))
    }

    fn credentials_file(&self) -> PathBuf {
        self.data_dir.join(CREDENTIALS)
    }

    fn options(&self, database: DatabaseUrl, telemetry: &telemetry::Guard, probe: Probe) -> Result<Options, Failure> {
        let keys = self.data_dir.join(SECRETS_KEY);
        make_key(&keys)?;
        Ok(Options {
            database,
            listen: Listen {
                address: self.listen,
                tls: None,
                plaintext: false,
                reflection: true,
                ceilings: Ceilings::default(),
            },
            auth: self.serve.auth(),
            pace: self.serve.pace(),
            limits: self.serve.limits(),
            history: self.serve.history,
            notify: self.notify.settings(Some(keys)).map_err(Failure::settings)?,
            drain: self.serve.drain,
            clock: Clock::system(),
            entropy: Entropy::system(),
            sampler: telemetry.sampler(),
            probe,
        })
    }

    /// Makes what is not there yet. Each step can be repeated: a start that was cut off
    /// half-way is finished by the next one.
    async fn prepare(&self, database: &DatabaseUrl, file: &Path) -> Result<Prepared, Failure> {
        let migrated = Store::migrate(database).await.map_err(Failure::failed)?;
        let entropy = Entropy::system();
        let store = Store::open(database, Clock::system(), entropy.clone()).await.map_err(Failure::failed)?;
        let name = Name::parse(APPLICATION).map_err(Failure::failed)?;
        let application = bootstrap::application(&store, &entropy, "dev", name).await.map_err(Failure::failed)?;
        let credentials =
            if file.exists() { known(&store, file).await? } else { self.new_admin(&store, &entropy, file).await? };
        Ok(Prepared { is_new: migrated > 0, application, credentials })
    }

    async fn new_admin(&self, store: &Store, entropy: &Entropy, file: &Path) -> Result<Credentials, Failure> {
        let name = Name::parse("admin").map_err(Failure::failed)?;
        let endpoint = (self.listen.port() != 0).then(|| format!("http://{}", self.listen));
        new_admin(store, entropy, "dev", name, self.serve.audience.clone(), endpoint, file).await
    }
}

/// A key for the secrets of webhooks, where there is none yet.
fn make_key(path: &Path) -> Result<(), Failure> {
    let drawn = Entropy::system().key_material().map_err(Failure::failed)?;
    let line = Zeroizing::new(BASE64_STANDARD.encode(*drawn) + "\n");
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let named = |error| Failure::Failed(format!("{}: {error}", path.display()));
    match options.open(path) {
        Ok(mut file) => file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(named),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(named(error)),
    }
}

/// What a start found or made.
pub(super) struct Prepared {
    is_new: bool,
    application: Application,
    credentials: Credentials,
}

/// Credentials of another database would be refused at the first call; better said now.
async fn known(store: &Store, file: &Path) -> Result<Credentials, Failure> {
    let credentials = Credentials::read(file).map_err(Failure::failed)?;
    let accounts = store.load(drop).await.map_err(Failure::failed)?.accounts;
    if accounts.iter().any(|account| account.key(credentials.kid()).is_some()) {
        return Ok(credentials);
    }
    Err(Failure::Failed(format!(
        "{} is not of this database: move it away, and a new one is made at the next start",
        file.display()
    )))
}
