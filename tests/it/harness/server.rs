use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    auth, bootstrap,
    clock::Clock,
    domain::{text::Name, time::Timestamp},
    entropy::Entropy,
    grpc::Listen,
    notify, pb,
    replica::Pace,
    serve::{self, Options, Running},
    signing::DEFAULT_AUDIENCE,
    store::{DatabaseUrl, Store},
    telemetry::{RefusedCalls, Sampler},
    watch::Limits,
};
use prost::Message;
use tonic::{Status, Streaming, transport::Channel};

use super::{Data, Headers, Persona, Rows, call, test_key};

/// What a test wants of its server.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) pace: Pace,
    pub(crate) limits: Limits,
    pub(crate) signed_calls_per_second: u32,
    pub(crate) clock: Clock,
    pub(crate) token_audiences: Vec<String>,
    pub(crate) drain: Duration,
    pub(crate) reflection: bool,
    pub(crate) notify: notify::Settings,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            limits: Limits::default(),
            signed_calls_per_second: 100_000,
            // 2026-11-21T00:00:00Z, and it stands still.
            clock: Clock::manual(Timestamp::from_seconds(1_795_219_200)),
            token_audiences: Vec::new(),
            drain: Duration::from_secs(5),
            reflection: true,
            notify: super::receiver::settings(),
        }
    }
}

/// A server with an application and an admin.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    channel: Channel,
    tokens: Mutex<HashMap<(String, String, i64), String>>,
    pub(crate) setup: Setup,
    pub(crate) data: Arc<Data>,
    pub(crate) admin: Persona,
    /// The id of an application.
    pub(crate) app: String,
}

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
            listen: Listen { address: ([127, 0, 0, 1], 0).into(), tls: None, reflection: setup.reflection },
            auth: auth::Settings {
                audience: DEFAULT_AUDIENCE.to_owned(),
                token_audiences: setup.token_audiences.clone(),
                signed_calls_per_second: setup.signed_calls_per_second,
            },
            pace: setup.pace,
            limits: setup.limits,
            history: Duration::from_hours(24 * 7),
            notify: setup.notify.clone(),
            drain: setup.drain,
            clock: setup.clock.clone(),
            entropy: Entropy::system(),
            sampler: Sampler::NEVER,
            refused_calls: RefusedCalls::OFF,
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
        let channel = Channel::from_shared(running.endpoint()).expect("url").connect_lazy();
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
        let Self { running, mut setup, data, admin, app, channel, .. } = self;
        drop(channel);
        running.stop();
        running.ended().await.expect("a clean end");
        change(&mut setup);
        Self::run(setup, data, admin, app).await
    }

    /// As [`Self::restart`], with something that happens to its clock or its database meanwhile.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce(&Clock, &Data)) -> Self {
        let Self { running, setup, data, admin, app, channel, .. } = self;
        drop(channel);
        running.stop();
        running.ended().await.expect("a clean end");
        meanwhile(&setup.clock, &data).await;
        Self::run(setup, data, admin, app).await
    }

    /// Begins to stop; `ended` waits for it.
    pub(crate) fn stop(&self) {
        self.running.stop();
    }

    pub(crate) async fn ended(self) {
        let Self { running, channel, .. } = self;
        drop(channel);
        running.stop();
        running.ended().await.expect("a clean end");
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A connection of its own.
    pub(crate) fn another_channel(&self) -> Channel {
        Channel::from_shared(self.running.endpoint()).expect("url").connect_lazy()
    }

    pub(crate) fn running(&self) -> &Running {
        &self.running
    }

    pub(crate) fn store(&self) -> &Store {
        self.running.store()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.setup.clock.now()
    }

    /// The token of a persona as of now: the same bytes each time, and dear to sign.
    pub(crate) fn token_of(&self, persona: &Persona) -> String {
        let as_of = (persona.kid(), persona.email.clone(), self.now().seconds());
        let mut tokens = self.tokens.lock().expect("tokens");
        tokens.entry(as_of).or_insert_with(|| persona.token_with(self, |_| {})).clone()
    }

    /// Moves the clock on and waits until the replica has seen it.
    pub(crate) async fn advance(&self, by: Duration) {
        let (replica, mut proofs) = (self.running.replica(), self.running.replica().proofs());
        self.setup.clock.advance(by);
        let now = self.now();
        tokio::select! {
            seen = proofs.wait_for(|proof| proof.time >= now) => drop(seen.expect("a living replica")),
            // Rings for it. On a clock that stands still again, it would wait its whole time.
            () = replica.sync_pass() => {}
        }
    }

    /// Rings, and waits for a turn of the sync loop.
    pub(crate) async fn turn(&self) {
        let (replica, mut proofs) = (self.running.replica(), self.running.replica().proofs());
        tokio::select! {
            turned = proofs.changed() => turned.expect("a living replica"),
            // Rings for it, and waits its whole time on a clock that stands still.
            () = replica.sync_pass() => {}
        }
    }

    /// How often the sync loop has turned.
    pub(crate) async fn turns(&self) -> i64 {
        Rows::of(self).await.number("SELECT beat FROM replica").await
    }

    /// Waits until no turn is under way: the one that says what was applied may still be. Answers how
    /// many there were.
    pub(crate) async fn at_rest(&self) -> i64 {
        let mut before = self.turns().await;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            match self.turns().await {
                same if same == before => return same,
                more => before = more,
            }
        }
    }

    pub(crate) async fn signed<Q: Message, A: Message + Default>(
        &self,
        persona: &Persona,
        method: &str,
        request: &Q,
    ) -> Result<A, Status> {
        call::signed(self, persona, method, request).await
    }

    pub(crate) async fn with_headers<A: Message + Default>(
        &self,
        method: &str,
        message: Vec<u8>,
        headers: &Headers,
    ) -> Result<A, Status> {
        call::with_headers(self, method, message, headers).await
    }

    pub(crate) async fn by_token<Q: Message, A: Message + Default>(
        &self,
        persona: &Persona,
        method: &str,
        request: &Q,
    ) -> Result<A, Status> {
        let headers = Headers::bearer(&persona.token(self));
        call::with_headers(self, method, request.encode_to_vec(), &headers).await
    }

    /// Makes a key that may `tasks:read`.
    pub(crate) async fn key(&self) -> pb::CreateKeyResponse {
        self.key_with(|_| {}).await
    }

    pub(crate) async fn key_with(&self, change: impl FnOnce(&mut pb::CreateKeyRequest)) -> pb::CreateKeyResponse {
        let mut request = pb::CreateKeyRequest {
            application_id: self.app.clone(),
            name: "key".to_owned(),
            permissions: vec!["tasks:read".to_owned()],
            ..Default::default()
        };
        change(&mut request);
        self.signed(&self.admin, "KeyService/CreateKey", &request).await.expect("create")
    }

    pub(crate) async fn revoke(&self, key: &pb::Key) -> pb::RevokeKeyResponse {
        let request = pb::RevokeKeyRequest {
            application_id: key.application_id.clone(),
            key_id: key.key_id.clone(),
            ..Default::default()
        };
        self.signed(&self.admin, "KeyService/RevokeKey", &request).await.expect("revoke")
    }

    /// The verdict over a secret that wants `tasks:read`.
    pub(crate) async fn verdict(&self, secret: &str) -> pb::Verdict {
        self.try_verify(secret).await.expect("verify").verdict()
    }

    pub(crate) async fn try_verify(&self, secret: &str) -> Result<pb::VerifyKeyResponse, Status> {
        let request = pb::VerifyKeyRequest {
            subject: Some(pb::verify_key_request::Subject::Secret(secret.to_owned())),
            required_permissions: vec!["tasks:read".to_owned()],
            ..Default::default()
        };
        self.by_token(&self.admin, "KeyService/VerifyKey", &request).await
    }

    /// Watches as `persona`.
    pub(crate) async fn watch(
        &self,
        persona: &Persona,
        request: &pb::WatchRevocationsRequest,
    ) -> Result<Watch, Status> {
        let headers = Headers::bearer(&persona.token(self));
        Ok(Watch(call::stream(self, "KeyService/WatchRevocations", request, &headers).await?))
    }
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watch(Streaming<bytes::Bytes>);

impl Watch {
    /// The next item; `None` at a clean end. Fails the test after 15 seconds of silence.
    pub(crate) async fn next(&mut self) -> Result<Option<pb::WatchRevocationsResponse>, Status> {
        let item = tokio::time::timeout(Duration::from_secs(15), self.0.message()).await.expect("silence");
        Ok(item?.map(|bytes| pb::WatchRevocationsResponse::decode(bytes).expect("item")))
    }

    /// The next revocation, bookmarks passed over.
    pub(crate) async fn revocation(&mut self) -> (pb::Revocation, String) {
        loop {
            let item = self.next().await.expect("a living stream").expect("not ended");
            if let Some(pb::watch_revocations_response::Item::Revocation(revocation)) = item.item {
                return (revocation, item.resume_token);
            }
        }
    }

    /// The next bookmark, which must come before any revocation.
    pub(crate) async fn bookmark(&mut self) -> (pb::Bookmark, String) {
        let item = self.next().await.expect("a living stream").expect("not ended");
        match item.item {
            Some(pb::watch_revocations_response::Item::Bookmark(bookmark)) => (bookmark, item.resume_token),
            other => panic!("a bookmark, not {other:?}"),
        }
    }
}

/// The lock of the server before may be let go of a moment after its tasks ended.
async fn open_again(options: Options) -> Running {
    for _ in 0..100 {
        match serve::start(options.clone()).await {
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
