use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    admin::Probe,
    clock::Clock,
    domain::time::Timestamp,
    grpc::{Ceilings, Tls},
    notify, pb,
    replica::Pace,
    serve::Running,
    store::Store,
    watch::Limits,
};
use prost::Message;
use tonic::{Status, transport::Channel};

use super::{Data, Headers, Persona, Rows, authority::Folder, call};

/// How long a replica that has its database may take for a turn.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// What a test wants of its server.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) pace: Pace,
    pub(crate) limits: Limits,
    pub(crate) signed_calls_per_second: u32,
    pub(crate) checks_per_second: u32,
    pub(crate) checks_per_address: u32,
    /// Where the files of its TLS are.
    pub(crate) folder: Option<Arc<Folder>>,
    pub(crate) tls: Option<Tls>,
    pub(crate) ceilings: Ceilings,
    pub(crate) clock: Clock,
    pub(crate) token_audiences: Vec<String>,
    pub(crate) drain: Duration,
    pub(crate) reflection: bool,
    pub(crate) notify: notify::Settings,
    pub(crate) probe: Probe,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            limits: Limits::default(),
            signed_calls_per_second: 100_000,
            checks_per_second: 1_000_000,
            checks_per_address: 0,
            folder: None,
            tls: None,
            // All tests call from one address, as behind a balancer.
            ceilings: Ceilings { connections_per_address: 0, calls_per_address: 0, ..Ceilings::default() },
            // 2026-11-21T00:00:00Z, and it stands still.
            clock: Clock::manual(Timestamp::from_seconds(1_795_219_200)),
            token_audiences: Vec::new(),
            drain: Duration::from_secs(5),
            reflection: true,
            notify: super::receiver::settings(),
            probe: Probe::default(),
        }
    }
}

impl Setup {
    fn of_pace(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// No turn of the loop by itself: a barrier stands until somebody rings.
    pub(crate) fn held() -> Self {
        Self::deaf(Duration::from_hours(1))
    }

    /// Replicas hear of what was written only when they ask by themselves, so often: a mutation that did not wait
    /// for them would be caught each time, and not by luck.
    pub(crate) fn deaf(every: Duration) -> Self {
        Self::of_pace(Pace { every, rings: false, doorbell: false, ..Pace::default() })
    }

    /// A turn every moment: what has not happened after some of them does not happen by itself.
    pub(crate) fn brisk() -> Self {
        Self::of_pace(Pace { every: Duration::from_millis(20), ..Pace::default() })
    }

    pub(crate) fn with_quick_bookmarks() -> Self {
        let limits = Limits { bookmark_every: Duration::from_millis(50), ..Limits::default() };
        Self { limits, ..Self::default() }
    }
}

/// A server with an application and an admin.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) running: Running,
    pub(super) channel: Channel,
    pub(super) tokens: Mutex<HashMap<(String, String, i64), String>>,
    pub(crate) setup: Setup,
    pub(crate) data: Arc<Data>,
    pub(crate) admin: Persona,
    /// The id of an application.
    pub(crate) app: String,
}

impl Server {
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
        let mut proofs = self.running.replica().proofs();
        self.setup.clock.advance(by);
        let now = self.now();
        self.ring_until(async { drop(proofs.wait_for(|proof| proof.time >= now).await.expect("a living replica")) })
            .await;
    }

    /// Without a database that is never, and is not waited for for long.
    async fn ring_until(&self, done: impl Future<Output = ()>) {
        tokio::pin!(done);
        let until = tokio::time::Instant::now() + LONG_ENOUGH;
        while tokio::time::Instant::now() < until {
            tokio::select! {
                biased; // who rings once more has another turn
                () = &mut done => return,
                () = self.running.replica().sync_pass() => {}
            }
        }
    }

    /// Waits for an answer that time must pass for, half a second of it at a time; and says how much did.
    pub(crate) async fn outlasted<T>(&self, answer: impl Future<Output = T>) -> (T, Duration) {
        tokio::pin!(answer);
        let begun = self.setup.clock.boottime();
        loop {
            let passed = self.setup.clock.boottime() - begun;
            tokio::select! {
                answer = &mut answer => return (answer, passed),
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            assert!(passed < Duration::from_secs(30), "it is never answered");
            self.advance(Duration::from_millis(500)).await;
        }
    }

    /// Rings, and waits for a turn of the sync loop.
    pub(crate) async fn turn(&self) {
        let mut proofs = self.running.replica().proofs();
        self.ring_until(async { proofs.changed().await.expect("a living replica") }).await;
    }

    /// How often the sync loop has turned.
    pub(crate) async fn turns(&self) -> i64 {
        Rows::of(self).await.number("SELECT beat FROM replica").await
    }

    /// Lets the sync loop turn until nothing is left to be said, and no ring is left that it has not heard: it
    /// turns no more by itself. Answers how often it has turned.
    pub(crate) async fn at_rest(&self) -> i64 {
        let proofs = self.running.replica().proofs();
        let rest = async {
            // A turn that finds nothing new is not followed by another; only a ring that came meanwhile is.
            let (mut applied, mut passes) = (None, 0);
            while passes < 3 {
                self.running.replica().sync_pass().await;
                let complete = Some(proofs.borrow().complete);
                passes = if applied == complete { passes + 1 } else { 1 };
                applied = complete;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), rest).await.expect("a loop that comes to rest");
        self.turns().await
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
}
