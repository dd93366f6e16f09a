//! A key's whole life against a naive model: whatever is done to keys in whatever order, and
//! however time passes, the service says of each what the model says.

mod model;

use std::{sync::LazyLock, time::Duration};

use model::{DAY, HOUR, Key, LIMIT, Model, Outcome, Step, Told, Verdict};
use portcullis::{clock::Clock, pb};
use proptest::test_runner::Config;
use proptest_state_machine::{StateMachineTest, prop_state_machine};
use tokio::runtime::Runtime;
use tonic::Status;

use crate::harness::{
    Data, Server, reason,
    verify::{about, rate_limit, update},
    watch::from,
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The service, and the keys in the order in which the model made them.
struct Service {
    server: Option<Server>,
    keys: Vec<(pb::Key, String)>,
    /// A watcher that begins where the test began.
    resume_token: String,
}

prop_state_machine! {
    #![proptest_config(Config { cases: 32, max_shrink_iters: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_key_is_at_every_moment_what_the_naive_model_says(sequential 1..40 => Service);
}

impl StateMachineTest for Service {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_: &Model) -> Self {
        RUNTIME.block_on(Self::begin())
    }

    fn apply(mut self_: Self, model: &Model, step: Step) -> Self {
        RUNTIME.block_on(async {
            let outcome = self_.take(model, &step).await;
            assert_eq!(outcome, model.outcome, "{step:?}");
            assert!(self_.server().running().jobs().settled().await, "jobs get through");
        });
        self_
    }

    fn check_invariants(self_: &Self, model: &Model) {
        RUNTIME.block_on(async {
            for at in 0..model.keys.len() {
                self_.is_as(model, at).await;
            }
        });
    }

    fn teardown(self_: Self, model: Model) {
        RUNTIME.block_on(async {
            self_.watchers_were_told(&model).await;
            let Self { server, .. } = self_;
            server.expect("a server").ended().await;
        });
    }
}

impl Service {
    async fn begin() -> Self {
        let server = Server::start().await;
        let mut watch = server.watch(&server.admin, &from("")).await.expect("watch");
        let (_, resume_token) = watch.bookmark().await;
        Self { server: Some(server), keys: Vec::new(), resume_token }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("a server")
    }

    fn key(&self, at: usize) -> &pb::Key {
        &self.keys[at].0
    }

    /// A moment of the model on the server's clock.
    fn moment(&self, model: &Model, seconds: i64) -> prost_types::Timestamp {
        let began = self.server().now().seconds() - model.now;
        prost_types::Timestamp { seconds: began + seconds, nanos: 0 }
    }

    async fn take(&mut self, model: &Model, step: &Step) -> Outcome {
        match *step {
            Step::Pass { seconds } => {
                self.server().advance(Duration::from_secs(seconds.unsigned_abs())).await;
                return Outcome::Done;
            }
            Step::Restart => {
                let server = self.server.take().expect("a server").restart().await;
                self.server = Some(server);
                return Outcome::Done;
            }
            Step::ClockBack => {
                let back = async |clock: &Clock, _: &Data| clock.step(-HOUR * 1_000_000);
                let server = self.server.take().expect("a server").restart_after(back).await;
                self.server = Some(server);
                return Outcome::Done;
            }
            Step::Spend { .. } => {
                let at = model.key_of(step).expect("a key");
                return Outcome::Verdict(self.verdict(&about(&self.keys[at].1)).await);
            }
            _ => {}
        }
        match self.call(model, step).await {
            Ok(()) => Outcome::Done,
            Err(status) => Outcome::Refused(known(&reason(&status))),
        }
    }

    async fn call(&mut self, model: &Model, step: &Step) -> Result<(), Status> {
        let server = self.server.as_ref().expect("a server");
        // The model made it already, where the step makes one.
        let made = self.keys.len();
        let at = match step {
            Step::Rotate { key, .. } => Some(key % made),
            step => model.key_of(step),
        };
        let Some(at) = at else {
            let Step::Create { ttl, renews } = step else { unreachable!("{step:?}") };
            let made = server
                .key_with(|request| {
                    request.rate_limits = vec![rate_limit("daily", LIMIT.cast_signed(), DAY)];
                    request.auto_renew = *renews;
                    request.expiration = ttl.map(|seconds| {
                        pb::create_key_request::Expiration::Ttl(prost_types::Duration { seconds, nanos: 0 })
                    });
                })
                .await;
            self.keys.push((made.key.expect("key"), made.secret));
            return Ok(());
        };
        let key = &self.keys[at].0;
        let set = |path, wish| update(key, &[path], wish);
        let request = match *step {
            Step::Rotate { overlap, .. } => {
                let overlap = overlap.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
                let (application_id, key_id) = (key.application_id.clone(), key.key_id.clone());
                let request = pb::RotateKeyRequest { application_id, key_id, overlap, ..Default::default() };
                let made: pb::RotateKeyResponse =
                    server.signed(&server.admin, "KeyService/RotateKey", &request).await?;
                self.keys.push((made.key.expect("key"), made.secret));
                return Ok(());
            }
            Step::Revoke { .. } => {
                server.revoke(key).await;
                return Ok(());
            }
            Step::ExpireIn { seconds, .. } => {
                let expire_time = Some(self.moment(model, model.now + seconds));
                set("expire_time", pb::Key { expire_time, ..Default::default() })
            }
            Step::ExpireNever { .. } => set("expire_time", pb::Key::default()),
            Step::Renew { on, .. } => set("auto_renew", pb::Key { auto_renew: on, ..Default::default() }),
            Step::EndOverlapIn { seconds, .. } => {
                let overlap_end_time = Some(self.moment(model, model.now + seconds));
                set("overlap_end_time", pb::Key { overlap_end_time, ..Default::default() })
            }
            Step::Disable { on, .. } => set("disabled", pb::Key { disabled: on, ..Default::default() }),
            Step::Create { .. } | Step::Spend { .. } | Step::Pass { .. } | Step::Restart | Step::ClockBack => {
                unreachable!("{step:?}")
            }
        };
        let _: pb::UpdateKeyResponse = server.signed(&server.admin, "KeyService/UpdateKey", &request).await?;
        Ok(())
    }

    async fn verdict(&self, question: &pb::VerifyKeyRequest) -> Verdict {
        match self.server().verdict_on(question).await {
            pb::Verdict::Valid => Verdict::Valid,
            pb::Verdict::Revoked => Verdict::Revoked,
            pb::Verdict::Expired => Verdict::Expired,
            pb::Verdict::Disabled => Verdict::Disabled,
            pb::Verdict::RateLimited => Verdict::RateLimited,
            other => panic!("{other:?}"),
        }
    }

    /// Verify and Get say of a key what the model says.
    async fn is_as(&self, model: &Model, at: usize) {
        let (key, secret) = &self.keys[at];
        let question = pb::VerifyKeyRequest { dry_run: true, ..about(secret) };
        let answer = self.server().ask(&self.server().admin, &question).await.expect("verify");
        let Key { expires, next, .. } = &model.keys[at];
        let successor = next.map_or_else(String::new, |(next, _)| self.key(next).key_id.clone());
        assert_eq!(self.verdict(&question).await, model.verdict(at), "key {at}: {:?}", model.keys[at]);
        assert_eq!(answer.superseded_by, successor, "key {at}");

        let request = pb::GetKeyRequest { application_id: key.application_id.clone(), key_id: key.key_id.clone() };
        let got: pb::GetKeyResponse =
            self.server().by_token(&self.server().admin, "KeyService/GetKey", &request).await.expect("get");
        let got = got.key.expect("key");
        let state = match model.verdict(at) {
            Verdict::Revoked => pb::KeyState::Revoked,
            Verdict::Expired => pb::KeyState::Expired,
            Verdict::Disabled => pb::KeyState::Disabled,
            Verdict::Valid | Verdict::RateLimited => pb::KeyState::Active,
        };
        assert_eq!(got.state(), state, "key {at}");
        let moment = |seconds: &i64| self.moment(model, *seconds).seconds;
        assert_eq!(got.expire_time.map(|at| at.seconds), expires.as_ref().map(moment), "key {at} expires");
        let end = next.map(|(_, end)| moment(&end));
        assert_eq!(got.overlap_end_time.map(|at| at.seconds), end, "the overlap of key {at}");
        assert_eq!(got.rotated_to, successor, "key {at}");
    }

    /// Each end of each key once, in the order of the keys that ended at different steps.
    async fn watchers_were_told(&self, model: &Model) {
        let server = self.server();
        let mut watch = server.watch(&server.admin, &from(&self.resume_token)).await.expect("watch");
        let head = server.key().await.revision;
        let mut told: Vec<_> = watch.up_to(head).await.iter().filter_map(|item| self.told(item)).collect();
        let mut expected = model.told.clone();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "what watchers were told");
    }

    fn told(&self, item: &pb::Revocation) -> Option<(usize, Told)> {
        let at = self.keys.iter().position(|(key, _)| key.key_id == item.key_id)?;
        let told = match item.cause() {
            pb::RevocationCause::Revoked => Told::Revoked,
            pb::RevocationCause::Disabled => Told::Disabled,
            pb::RevocationCause::Expired => Told::Expired,
            pb::RevocationCause::Rotated => Told::Rotated,
            pb::RevocationCause::Narrowed | pb::RevocationCause::Unspecified => return None,
            pb::RevocationCause::HistoryFork => panic!("no history was lost: {item:?}"),
        };
        Some((at, told))
    }
}

fn known(reason: &str) -> &'static str {
    let all = ["KEY_REVOKED", "KEY_ALREADY_ROTATED", "FIELD_INVALID"];
    all.into_iter().find(|known| *known == reason).unwrap_or_else(|| panic!("refused with {reason}"))
}
