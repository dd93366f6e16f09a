//! How servers begin, one beside the other too, how they end, and begin anew.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    auth, bootstrap,
    clock::Clock,
    domain::text::Name,
    entropy::Entropy,
    grpc::Listen,
    serve::{self, Options, Running},
    signing::DEFAULT_AUDIENCE,
    store::{DatabaseUrl, Store},
    telemetry::Sampler,
};
use tonic::transport::Channel;

use super::{Data, Persona, Server, Setup, authority, test_key};

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        Self::start_on(Data::migrated().await, setup).await
    }

    /// On PostgreSQL, whatever this run is of; none where that cannot be had.
    pub(crate) async fn start_at_server(setup: Setup) -> Option<Self> {
        Some(Self::start_on(Data::migrated_at_server().await?, setup).await)
    }

    async fn start_on(data: Data, setup: Setup) -> Self {
        let key = test_key(0);
        let store = open_store(&data.database_url(), &setup.clock).await;
        let name = Name::parse("admin").expect("name");
        let id = bootstrap::account_id(&setup.clock, &Entropy::system()).expect("id");
        let admin = bootstrap::admin(&store, "test", id, name, key.public().clone()).await.expect("admin");
        let name = Name::parse("demo").expect("name");
        let app = bootstrap::application(&store, &Entropy::system(), "test", name).await.expect("application");
        drop(store);
        let admin = Persona { account_id: admin.id.to_string(), email: admin.client_email, key };
        Self::run(setup, Arc::new(data), admin, app.id.to_string()).await
    }

    async fn run(setup: Setup, data: Arc<Data>, admin: Persona, app: String) -> Self {
        Self::of(open_again(Self::options(&setup, &data)).await, setup, data, admin, app).await
    }

    fn options(setup: &Setup, data: &Data) -> Options {
        Options {
            database: data.database_url(),
            listen: Listen {
                address: ([127, 0, 0, 1], 0).into(),
                tls: setup.tls.clone(),
                plaintext: false,
                reflection: setup.reflection,
                ceilings: setup.ceilings,
            },
            auth: auth::Settings {
                audience: DEFAULT_AUDIENCE.to_owned(),
                token_audiences: setup.token_audiences.clone(),
                signed_calls_per_second: setup.signed_calls_per_second,
                checks_per_second: setup.checks_per_second,
                checks_per_address: setup.checks_per_address,
            },
            pace: setup.pace,
            limits: setup.limits,
            history: Duration::from_hours(24 * 7),
            notify: setup.notify.clone(),
            drain: setup.drain,
            clock: setup.clock.clone(),
            entropy: Entropy::system(),
            sampler: Sampler::NEVER,
            probe: setup.probe.clone(),
        }
    }

    /// As [`Self::beside`], where it may be refused.
    pub(crate) async fn try_beside(&self) -> Result<Self, serve::ServeError> {
        let setup = self.setup.clone();
        let running = serve::start(Self::options(&setup, &self.data)).await?;
        Ok(Self::of(running, setup, Arc::clone(&self.data), self.admin.clone(), self.app.clone()).await)
    }

    /// Waits until it ends without being told to, and says why.
    pub(crate) async fn ended_by_itself(self) -> Result<(), serve::ServeError> {
        let Self { running, channel, .. } = self;
        drop(channel);
        running.ended().await
    }

    /// As the command does: begins anew where a replica that has ended says that it may.
    pub(crate) async fn try_again_after_its_end(self) -> Self {
        let Self { running, setup, data, admin, app, channel, .. } = self;
        drop(channel);
        let ended = tokio::time::timeout(Duration::from_secs(30), running.ended()).await.expect("it goes on serving");
        match ended.expect_err("it says why") {
            serve::ServeError::Stopped(stopped) if stopped.may_begin_anew() => {}
            other => panic!("{other}"),
        }
        Self::run(setup, data, admin, app).await
    }

    /// Another replica on the same database and clock.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_with(|_| {}).await
    }

    pub(crate) async fn beside_with(&self, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = self.setup.clone();
        change(&mut setup);
        Self::run(setup, Arc::clone(&self.data), self.admin.clone(), self.app.clone()).await
    }

    async fn of(running: Running, setup: Setup, data: Arc<Data>, admin: Persona, app: String) -> Self {
        let channel = match &setup.folder {
            Some(folder) => authority::endpoint(running.endpoint(), &folder.ca, None).connect_lazy(),
            None => Channel::from_shared(running.endpoint()).expect("url").connect_lazy(),
        };
        let tokens = Mutex::default();
        let server = Self { running, channel, tokens, setup, data, admin, app };
        // Past the moments in which a signed VerifyKey is refused, see `src/auth.rs`.
        server.advance(Duration::from_secs(3)).await;
        server
    }

    /// Stops it and starts it again on the same data and clock.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async |_, _| {}).await
    }

    /// As [`Self::restart`], with other settings.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Setup)) -> Self {
        let (mut setup, data, admin, app) = self.down().await;
        change(&mut setup);
        Self::run(setup, data, admin, app).await
    }

    /// As [`Self::restart`], with something that happens to its clock or its database meanwhile.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce(&Clock, &Data)) -> Self {
        let (setup, data, admin, app) = self.down().await;
        meanwhile(&setup.clock, &data).await;
        Self::run(setup, data, admin, app).await
    }

    /// Stops it, and answers what is left of it.
    async fn down(self) -> (Setup, Arc<Data>, Persona, String) {
        let Self { running, setup, data, admin, app, channel, .. } = self;
        drop(channel);
        running.stop();
        running.ended().await.expect("a clean end");
        (setup, data, admin, app)
    }

    /// Begins to stop; `ended` waits for it.
    pub(crate) fn stop(&self) {
        self.running.stop();
    }

    pub(crate) async fn ended(self) {
        self.down().await;
    }
}

/// The lock of the server before may be let go of a moment after its tasks ended.
async fn open_again(options: Options) -> Running {
    for _ in 0..100 {
        match Box::pin(serve::start(options.clone())).await {
            Ok(running) => return running,
            Err(serve::ServeError::Open(portcullis::store::OpenError::InUse { .. })) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the lock was never let go of");
}

/// A process that another test has just forked may hold the lock file open for a moment.
async fn open_store(url: &DatabaseUrl, clock: &Clock) -> Store {
    for _ in 0..100 {
        match Store::open(url, clock.clone(), Entropy::system()).await {
            Ok(store) => return store,
            Err(portcullis::store::OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the lock was never let go of");
}
