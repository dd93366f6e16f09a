//! The real program, killed at each step of a delivery: what was committed arrives after all,
//! what arrives twice has the same id, and what happened to one key arrives in its order.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use portcullis::pb;
use tokio::{io::AsyncReadExt as _, net::TcpListener, sync::Notify};

use crate::{
    harness::{
        Caller, Deployment, Process, Rows, WriteLock, mask,
        receiver::{Received, Receiver, Reply},
        smtp::MailServer,
        webhook::CREATE,
    },
    webhooks_receivers::certificates,
};

/// A deployment whose webhooks may lead to loopback.
struct Killed {
    deployment: Deployment,
    key: PathBuf,
    more: Vec<String>,
}

impl Killed {
    async fn make() -> Self {
        let deployment = Deployment::make().await;
        let key = deployment.folder.path().join("secrets.key");
        std::fs::write(&key, BASE64_STANDARD.encode([3; 32])).expect("a key");
        Self { deployment, key, more: Vec::new() }
    }

    async fn serve(&self) -> (Process, Caller) {
        let key = self.key.display().to_string();
        let mut arguments = vec!["--secrets-key-file", &key, "--webhook-allow", "127.0.0.0/8", "--webhook-http"];
        arguments.extend(self.more.iter().map(String::as_str));
        let mut process = self.deployment.serve(&arguments);
        let caller = process.caller().await;
        (process, caller)
    }

    /// As a power cut would; what comes next comes a minute later, where nobody knows before that what
    /// it had claimed will not be sent by it.
    async fn kill(&self, process: Process) {
        process.kill();
        self.rows().await.a_minute_later().await;
    }

    async fn rows(&self) -> Rows {
        Rows::of(&self.deployment).await
    }

    /// The types and claims of what has not arrived, in order.
    async fn open(&self) -> Vec<(String, bool, i32)> {
        let sql = "SELECT kind, claimed_by, attempts FROM delivery WHERE state IN ('pending', 'queued') ORDER BY seq";
        let rows = self.rows().await.all(sql).await;
        let get = |row: &sea_orm::QueryResult| {
            let text = row.try_get_by_index(0).expect("a type");
            let claimed: Option<uuid::Uuid> = row.try_get_by_index(1).expect("a claim");
            (text, claimed.is_some(), row.try_get_by_index(2).expect("attempts"))
        };
        rows.iter().map(get).collect()
    }

    /// Fails unless everything that happened has arrived, under one id each, in the order of its key.
    async fn all_arrived(&self, received: &[Received], secret: &str) {
        let told = self.rows().await;
        let told = told.texts("SELECT key_id || ' ' || kind FROM notice ORDER BY seq").await;
        let (mut happened, mut arrived) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for one in &told {
            let (key, kind) = one.split_once(' ').expect("two words");
            happened.entry(key.to_owned()).or_default().push(kind.to_owned());
        }
        let mut ids = HashSet::new();
        for one in received {
            assert_eq!(one.signed_by(secret), 1);
            // What arrived before in the same way is a repeat.
            if ids.insert(one.id().to_owned()) {
                arrived.entry(one.key_id()).or_default().push(one.kind());
            }
        }
        assert_eq!(arrived, happened);
        assert_eq!(ids.len(), told.len(), "each under one id");
    }
}

async fn hook(caller: &Caller, application_id: &str, url: &str) -> String {
    let webhook = pb::Webhook { application_id: application_id.to_owned(), url: url.to_owned(), ..Default::default() };
    let request = pb::CreateWebhookRequest { webhook: Some(webhook), request_id: String::new() };
    caller.call::<_, pb::CreateWebhookResponse>(CREATE, &request).await.expect("a webhook").secret
}

#[tokio::test]
async fn killed_after_the_commit_and_before_the_claim_and_while_others_are_being_sent() {
    let killed = Killed::make().await;
    let (process, caller) = killed.serve().await;
    let application = caller.application().await;
    let mut receiver = Receiver::start().await;
    receiver.replies(Reply::Hold);
    let secret = hook(&caller, &application, &receiver.url).await;
    // As many as go to one receiver at once: the next one finds no room.
    let mut received = Vec::new();
    let mut first = None;
    for _ in 0..4 {
        let key = caller.create(&application).await.expect("create").key.expect("key");
        first.get_or_insert(key);
        received.push(receiver.next().await);
    }
    caller.create(&application).await.expect("create");
    caller.revoke(&first.expect("key")).await.expect("revoke");
    let created = || "key.created".to_owned();
    let mut open = vec![(created(), true, 0); 4];
    open.extend([(created(), false, 0), ("key.revoked".to_owned(), false, 0)]);
    assert_eq!(killed.open().await, open);
    killed.kill(process).await;

    receiver.replies(Reply::Status(200));
    let (process, _) = killed.serve().await;
    for _ in 0..6 {
        received.push(receiver.next().await);
    }
    received.extend(receiver.all().await);
    assert_eq!(received.len(), 10, "what was under way came twice");
    killed.all_arrived(&received, &secret).await;
    assert!(process.terminate().await.success());
    assert_eq!(killed.open().await, []);
}

#[tokio::test]
async fn killed_after_the_claim_and_before_anything_is_sent() {
    let (root, config) = certificates();
    let mut killed = Killed::make().await;
    let ca = killed.deployment.folder.path().join("ca.pem");
    let pem = BASE64_STANDARD.encode(&root);
    std::fs::write(&ca, format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n")).expect("ca");
    killed.more = vec!["--webhook-ca".to_owned(), ca.display().to_string()];
    let (process, caller) = killed.serve().await;
    let application = caller.application().await;
    // It takes the connection, and says nothing: without its part of TLS nothing is sent.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/hook", silent.local_addr().expect("address"));
    let secret = hook(&caller, &application, &url).await;
    let key = caller.create(&application).await.expect("create").key.expect("key");
    let (mut stream, _) = silent.accept().await.expect("a connection");
    stream.read_exact(&mut [0; 5]).await.expect("the beginning of TLS");
    caller.revoke(&key).await.expect("revoke");
    let open = [("key.created".to_owned(), true, 0), ("key.revoked".to_owned(), false, 0)];
    assert_eq!(killed.open().await, open);
    killed.kill(process).await;
    drop(stream);

    let mut receiver = Receiver::start_tls_on(silent, config);
    let (process, _) = killed.serve().await;
    let mut received = vec![receiver.next().await, receiver.next().await];
    received.extend(receiver.all().await);
    assert_eq!(received.len(), 2);
    killed.all_arrived(&received, &secret).await;
    assert!(process.terminate().await.success());
    assert_eq!(killed.open().await, []);
}

#[tokio::test]
async fn killed_after_the_answer_and_before_it_is_marked() {
    let killed = Killed::make().await;
    let (process, caller) = killed.serve().await;
    let application = caller.application().await;
    let mut receiver = Receiver::start().await;
    let answer = Arc::new(Notify::new());
    receiver.replies(Reply::When(Arc::clone(&answer)));
    let secret = hook(&caller, &application, &receiver.url).await;
    let key = caller.create(&application).await.expect("create").key.expect("key");
    let mut received = vec![receiver.next().await];
    caller.revoke(&key).await.expect("revoke");
    // Nothing can be written any more, and so not what comes of it either.
    let lock = WriteLock::take(&killed.deployment).await;
    answer.notify_one();
    receiver.left().await;
    process.kill();
    lock.release().await;
    killed.rows().await.a_minute_later().await;
    let open = [("key.created".to_owned(), true, 0), ("key.revoked".to_owned(), false, 0)];
    assert_eq!(killed.open().await, open);

    receiver.replies(Reply::Status(200));
    let (process, _) = killed.serve().await;
    received.extend([receiver.next().await, receiver.next().await]);
    received.extend(receiver.all().await);
    assert_eq!(received.len(), 3);
    assert_eq!(received[0].id(), received[1].id(), "the repeat has the same id");
    killed.all_arrived(&received, &secret).await;
    assert!(process.terminate().await.success());
    assert_eq!(killed.open().await, []);
}

/// While calls come in, at whatever moment it happens to be.
#[tokio::test]
async fn killed_again_and_again_under_load() {
    let killed = Killed::make().await;
    let mut receiver = Receiver::start().await;
    let (mut process, mut caller) = killed.serve().await;
    let application = caller.application().await;
    let secret = hook(&caller, &application, &receiver.url).await;
    let mut received = Vec::new();
    for round in 0..3 {
        for _ in 0..5 + round {
            let key = caller.create(&application).await.expect("create").key.expect("key");
            caller.revoke(&key).await.expect("revoke");
        }
        killed.kill(process).await;
        (process, caller) = killed.serve().await;
    }
    let told = killed.rows().await.number("SELECT count(*) FROM notice").await;
    assert_eq!(told, 2 * (5 + 6 + 7));
    let mut ids = HashSet::new();
    while ids.len() < usize::try_from(told).expect("a number") {
        let next = receiver.next().await;
        ids.insert(next.id().to_owned());
        received.push(next);
    }
    received.extend(receiver.all().await);
    killed.all_arrived(&received, &secret).await;
    assert!(process.terminate().await.success());
    assert_eq!(killed.open().await, []);
}

/// The mail server holds the first mail, at either end of it: the program is killed while it
/// sends, and when all is there and not answered yet.
#[tokio::test]
async fn killed_in_the_middle_of_a_mail_and_before_the_answer_to_it() {
    for hold in ["hold-in-data", "hold-before-ok"] {
        let Some(mut mails) = MailServer::start(&[hold, "1"]).await else { return };
        let mut killed = Killed::make().await;
        let url = format!("smtp://127.0.0.1:{}", mails.port);
        killed.more = ["--smtp-url", &url, "--smtp-from", "portcullis@example.com"].map(str::to_owned).to_vec();
        let (process, caller) = killed.serve().await;
        let application_id = caller.application().await;
        let notify_emails = vec!["ops@example.org".to_owned()];
        let application =
            Some(pb::Application { application_id: application_id.clone(), notify_emails, ..Default::default() });
        let request = pb::UpdateApplicationRequest { application, update_mask: mask(&["notify_emails"]) };
        let _: pb::UpdateApplicationResponse =
            caller.call("ApplicationService/UpdateApplication", &request).await.expect("update");
        let key = caller.create(&application_id).await.expect("create").key.expect("key");
        let held = mails.next().await;
        caller.revoke(&key).await.expect("revoke");
        killed.kill(process).await;
        let open = [("key.created".to_owned(), true, 0), ("key.revoked".to_owned(), false, 0)];
        assert_eq!(killed.open().await, open, "{hold}: nothing is marked");

        let (process, _) = killed.serve().await;
        let (again, next) = (mails.next().await, mails.next().await);
        assert_eq!(again["message_id"], held["message_id"], "{hold}: the same mail has the same id");
        for (mail, kind) in [(&again, "key.created"), (&next, "key.revoked")] {
            assert!(mail["subject"].as_str().expect("a subject").contains(kind), "{hold}: {mail}");
        }
        assert_ne!(next["message_id"], again["message_id"]);
        mails.nothing().await;
        assert!(process.terminate().await.success());
    }
}
