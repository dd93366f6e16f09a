use std::{future::Future, process::ExitCode, time::Duration};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use crate::{
    admin::{self, Probe},
    check,
    clock::Clock,
    config::{DatabaseArgs, ListenArgs, NotifyArgs, ServeArgs},
    entropy::Entropy,
    grpc::{Listen, ListenRefused},
    notify,
    serve::{self, Options, Running, ServeError, open_files},
    store::OpenError,
    telemetry,
};

/// Serve, on a database that `portcullis migrate` has made
///
/// Answers gRPC until it is told to stop by SIGTERM or SIGINT; then it refuses new calls,
/// ends its streams with a last bookmark, and leaves. SIGHUP has the TLS files read anew. Logs go
/// to standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  portcullis serve --database-url sqlite:///var/lib/portcullis/portcullis.db \\
    --listen 0.0.0.0:50051 --tls-cert server.pem --tls-key server.key
  PORTCULLIS_DATABASE_URL=postgres://portcullis:PASSWORD@db.example.com/portcullis \\
    portcullis serve --listen 0.0.0.0:50051 --tls-cert server.pem --tls-key server.key")]
pub(super) struct Serve {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    notify: NotifyArgs,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

/// Between two tries to begin anew.
const AGAIN: Duration = Duration::from_secs(1);

impl Serve {
    /// All that is wrong with what its settings name.
    pub(super) fn wrong(&self) -> Vec<String> {
        let read = block_on(async { Ok(self.read().await) });
        read.ok().and_then(Result::err).unwrap_or_default().into_iter().chain(self.no_database()).collect()
    }

    /// What the files hold that the settings name, each of them.
    async fn read(&self) -> Result<(Listen, notify::Settings), Vec<String>> {
        let listen = self.listen.listen();
        let mut wrong = Vec::new();
        if let Err(refused) = listen.look(&Clock::system()).await {
            wrong.extend(refused.iter().map(ToString::to_string));
        }
        match self.notify.settings(None) {
            Ok(notify) if wrong.is_empty() => Ok((listen, notify)),
            Ok(_) => Err(wrong),
            Err(refused) => {
                wrong.extend(refused.iter().map(ToString::to_string));
                Err(wrong)
            }
        }
    }

    /// A file that is not there is no wrong setting by itself; where there are such, it is told with them.
    fn no_database(&self) -> Option<String> {
        let url = self.database.url().ok()?;
        let missing = url.file().filter(|path| !path.is_file())?;
        Some(OpenError::Missing(missing.display().to_string()).to_string())
    }

    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let read = block_on(async { Ok(self.read().await) })?;
        let (listen, notify) = read.map_err(|wrong| Failure::settings(wrong.into_iter().chain(self.no_database())))?;
        let Self { database, serve, telemetry, .. } = self;
        let telemetry = telemetry::init(&telemetry).map_err(Failure::usage)?;
        let admin_listen = serve.admin_listen;
        let mut options = Options {
            database: database.url().map_err(Failure::usage)?,
            listen,
            auth: serve.auth(),
            pace: serve.pace(),
            limits: serve.limits(),
            history: serve.history,
            notify,
            drain: serve.drain,
            clock: Clock::system(),
            entropy: Entropy::system(),
            sampler: telemetry.sampler(),
            probe: Probe::default(),
        };
        let files = check::open_files(open_files::raise(), options.listen.ceilings.connections);
        if let Some(advice) = files.advice {
            tracing::warn!(advice, "{}: {}", files.of, files.said);
        }
        block_on(async {
            let stop = asked_to_stop()?;
            tokio::pin!(stop);
            outlive_hangups(options.listen.tls.is_some())?;
            options.probe = admin::listen(admin_listen).await.map_err(Failure::failed)?;
            let mut begun = false;
            loop {
                // A database that does not answer is waited for, and whoever is told to end must not be.
                let started = tokio::select! {
                    started = serve::start(options.clone()) => started,
                    () = &mut stop => return Ok(()),
                };
                let running = match started {
                    // The database may still be on its way back.
                    Err(error) if begun && error.may_pass() => {
                        tracing::error!(%error, "cannot begin anew yet");
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                    started => started?,
                };
                begun = true;
                match until(running, &mut stop).await {
                    Err(ServeError::Stopped(stopped)) if stopped.may_begin_anew() => {
                        tracing::error!(%stopped, "beginning anew, from what the database holds now");
                    }
                    ended => return Ok(ended?),
                }
            }
        })?;
        telemetry.shutdown();
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs a server to its end: its own, or after `stop`.
pub(super) async fn until(running: Running, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    let handle = running.stopper();
    let ended = running.ended();
    tokio::pin!(ended);
    tokio::select! {
        ended = &mut ended => return ended,
        () = stop => handle.send_replace(true),
    };
    ended.await
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Listen(ListenRefused::Plaintext(_)) | ServeError::Weak(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

/// Done when the process is told to end. Installed before the server starts, so that no
/// signal is missed.
pub(super) fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// SIGHUP is sent by habit to have files read anew, and by a terminal that is closed, also to what was started
/// with `nohup`; it would end the process. With TLS they are (`grpc::tls`), and once it is waited for, it ends nothing.
pub(super) fn outlive_hangups(has_tls: bool) -> Result<(), Failure> {
    let mut hangups = signal(SignalKind::hangup()).map_err(Failure::failed)?;
    if !has_tls {
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                tracing::info!("SIGHUP: without TLS there is nothing to read anew; settings are read at the start");
            }
        });
    }
    Ok(())
}

pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let done = runtime.block_on(work);
    // Waits for no thread that is stuck, in a look-up of a name or on a disk.
    runtime.shutdown_background();
    done
}
