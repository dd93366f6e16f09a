//! Calls that prove no caller: counted, and nowhere else.

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use bytes::Bytes;
use portcullis::{
    client::{Account, Credentials, Headers, Raw, sign_request_now},
    pb,
    signing::{KID, PrivateKey},
};
use prost::Message as _;
use tonic::{
    Code, Request, Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{binary::Dev, collector::Collector};

const CREATE: &str = "/portcullis.v1.KeyService/CreateKey";
const VERIFY: &str = "/portcullis.v1.KeyService/VerifyKey";
const HIRE: &str = "/portcullis.v1.ServiceAccountService/CreateServiceAccount";
const ADD_KEY: &str = "/portcullis.v1.ServiceAccountService/AddServiceAccountKey";

/// One that sends what it likes.
pub(crate) struct Wire(Channel);

impl Wire {
    pub(crate) fn to(dev: &Dev) -> Self {
        Self(Endpoint::from_shared(dev.endpoint.clone()).expect("URL").connect_lazy())
    }

    async fn send(&self, path: &'static str, message: &[u8], metadata: MetadataMap) -> Result<Bytes, Status> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await.expect("connected");
        let mut request = Request::new(Bytes::copy_from_slice(message));
        *request.metadata_mut() = metadata;
        grpc.unary(request, path.parse().expect("path"), Raw).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn refused(&self, path: &'static str, message: &[u8], metadata: MetadataMap) -> Code {
        self.send(path, message, metadata).await.expect_err("refused").code()
    }

    async fn signed<A: prost::Message + Default>(
        &self,
        by: &Credentials,
        path: &'static str,
        message: &impl prost::Message,
    ) -> Result<A, Status> {
        let message = message.encode_to_vec();
        let answer = self.send(path, &message, metadata(&sign(by, path, &message))).await?;
        Ok(A::decode(answer).expect("an answer"))
    }

    /// An account that may look and change nothing.
    async fn viewer(&self, admin: &Credentials) -> Credentials {
        let account = pb::ServiceAccount {
            name: "viewer".into(),
            roles: vec![pb::Role::Viewer.into()],
            all_applications: true,
            ..Default::default()
        };
        let hire = pb::CreateServiceAccountRequest { service_account: Some(account), ..Default::default() };
        let made: pb::CreateServiceAccountResponse = self.signed(admin, HIRE, &hire).await.expect("account");
        let made = made.service_account.expect("account");
        let key = PrivateKey::generate().expect("key");
        let add = pb::AddServiceAccountKeyRequest {
            service_account_id: made.service_account_id.clone(),
            public_key_pem: key.public().to_pem().to_owned(),
            ..Default::default()
        };
        let _: pb::AddServiceAccountKeyResponse = self.signed(admin, ADD_KEY, &add).await.expect("key");
        let account = Account {
            client_id: made.service_account_id,
            client_email: made.client_email,
            audience: admin.account().audience.clone(),
            endpoint: None,
        };
        Credentials::new(account, key)
    }
}

fn sign(by: &Credentials, path: &str, message: &[u8]) -> Headers {
    sign_request_now(by, path, message).expect("signed")
}

fn metadata(headers: &Headers) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    headers.apply(&mut metadata).expect("headers");
    metadata
}

fn header(name: &'static str, value: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert(name, value.parse().expect("value"));
    metadata
}

fn create(dev: &Dev, name: &str) -> pb::CreateKeyRequest {
    pb::CreateKeyRequest { application_id: dev.application.clone(), name: name.into(), ..Default::default() }
}

/// What strangers try, and how often which method refuses it with which reason.
async fn strangers(dev: &Dev, wire: &Wire, admin: &Credentials) -> BTreeMap<(&'static str, &'static str), u64> {
    let message = create(dev, "key").encode_to_vec();
    for _ in 0..2 {
        assert_eq!(wire.refused(CREATE, &message, MetadataMap::new()).await, Code::Unauthenticated);
    }
    for _ in 0..3 {
        let of_another = metadata(&sign(admin, CREATE, b"another message"));
        assert_eq!(wire.refused(CREATE, &message, of_another).await, Code::Unauthenticated);
    }
    let stranger = Credentials::new(admin.account().clone(), PrivateKey::generate().expect("key"));
    let unknown_kid = metadata(&sign(&stranger, CREATE, &message));
    assert_eq!(wire.refused(CREATE, &message, unknown_kid).await, Code::Unauthenticated);
    let mut stale = sign(admin, CREATE, &message);
    stale.timestamp = (stale.timestamp.parse::<i64>().expect("a time") - 3_600).to_string();
    assert_eq!(wire.refused(CREATE, &message, metadata(&stale)).await, Code::Unauthenticated);
    assert_eq!(wire.refused(VERIFY, b"", header(KID, "canary")).await, Code::Unauthenticated);
    for token in ["Bearer canary", "Bearer canary.canary.canary"] {
        assert_eq!(wire.refused(VERIFY, b"", header("authorization", token)).await, Code::Unauthenticated);
    }
    for path in ["/portcullis.v1.KeyService/Canary", "/canary.Service/Call"] {
        assert_eq!(wire.refused(path, b"", MetadataMap::new()).await, Code::Unimplemented);
    }
    // The bytes of a call that was done, sent again by whoever has seen them.
    let once = metadata(&sign(admin, CREATE, &message));
    wire.send(CREATE, &message, once.clone()).await.expect("done");
    assert_eq!(wire.refused(CREATE, &message, once).await, Code::Unauthenticated);

    let (create, verify) = (&CREATE[1..], &VERIFY[1..]);
    BTreeMap::from([
        ((create, "SIGNATURE_MISSING"), 2),
        ((create, "SIGNATURE_INVALID"), 4),
        ((create, "TIMESTAMP_OUT_OF_WINDOW"), 1),
        ((create, "NONCE_REUSED"), 1),
        ((verify, "SIGNATURE_MALFORMED"), 1),
        ((verify, "TOKEN_INVALID"), 2),
        (("_OTHER", "METHOD_NOT_FOUND"), 2),
    ])
}

// Of two threads, so that the connection ends when the program wants to, while the test waits for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_counted_by_method_and_reason_and_are_in_no_audit_log() {
    let collector = Collector::start();
    let dev = Dev::start(&collector.url(), &[]);
    let (wire, admin) = (Wire::to(&dev), dev.admin());
    let viewer = wire.viewer(&admin).await;
    let expected = strangers(&dev, &wire, &admin).await;
    // Refused behind the signature: on record, and not counted.
    let nameless = wire.signed::<pb::CreateKeyResponse>(&admin, CREATE, &create(&dev, "")).await;
    assert_eq!(nameless.expect_err("refused").code(), Code::InvalidArgument);
    let not_an_editor = wire.signed::<pb::CreateKeyResponse>(&viewer, CREATE, &create(&dev, "key")).await;
    assert_eq!(not_an_editor.expect_err("refused").code(), Code::PermissionDenied);
    let refused = dev.call("AuditService/ListAuditEvents", r#"{"refused_only": true}"#);
    dev.stop();

    for (reason, times) in [("FIELD_INVALID", 1), ("ROLE_MISSING", 1), ("outcome", 2)] {
        assert_eq!(refused.matches(&format!("\"{reason}\"")).count(), times, "{reason} in {refused}");
    }
    let counters = collector.counters();
    let last = counters.last().expect("flushed when the program ended");
    assert_eq!((last.name.as_str(), last.unit.as_str()), ("portcullis.refused_calls", "{call}"));
    assert_eq!((last.scope.as_str(), last.service.as_str()), ("portcullis", "portcullis"));
    assert!(last.is_cumulative_and_monotonic);
    let counted: BTreeMap<_, _> = last.points.iter().map(|(at, count)| ((&*at.0, &*at.1), *count)).collect();
    assert_eq!(counted, expected);
    assert!(!format!("{counters:?}").contains("anary"), "nothing of the caller's choice leaves the process");
    assert!(!format!("{counters:?}").contains(admin.kid().as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_sent_while_the_program_runs() {
    let collector = Collector::start();
    let dev = Dev::start(&collector.url(), &["--otlp-metric-interval", "1000"]);
    let wire = Wire::to(&dev);
    wire.refused(CREATE, b"", MetadataMap::new()).await;
    let sent = async {
        while collector.counters().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sent).await.expect("an export within 30 s");
    dev.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_holds_up_no_refusal_and_no_end() {
    // Connections are completed by the kernel, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}", silent.local_addr().expect("address"));
    let dev = Dev::start(&url, &["--otlp-metric-interval", "1000"]);
    let wire = Wire::to(&dev);
    let begun = std::time::Instant::now();
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    // Across exports, which hang for 1.5 s each.
    while begun.elapsed() < Duration::from_secs(4) {
        let sent = std::time::Instant::now();
        assert_eq!(wire.refused(CREATE, b"", MetadataMap::new()).await, Code::Unauthenticated);
        (calls, slowest) = (calls + 1, slowest.max(sent.elapsed()));
    }
    assert!(calls > 10 && slowest < Duration::from_secs(1), "{calls} calls, of which one waited {slowest:?}");
    let ending = std::time::Instant::now();
    dev.stop();
    assert!(ending.elapsed() < Duration::from_secs(8), "the flush is bounded; the end took {:?}", ending.elapsed());
}
