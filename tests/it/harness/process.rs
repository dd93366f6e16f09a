use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use portcullis::{
    client::{CallFailed, Client, Credentials, Proof, Schema, Tls, connect},
    pb,
};
use prost::Message;

use super::{Data, data::Located as _, postgres::Cluster, program::free_port};

/// A database and an admin, made by the program itself.
pub(crate) struct Deployment {
    pub(crate) data: Data,
    /// For all but the database.
    pub(crate) folder: tempfile::TempDir,
    port: u16,
}

/// `portcullis serve`, as it is shipped.
pub(crate) struct Process {
    child: Child,
    pub(crate) endpoint: String,
    credentials: PathBuf,
}

/// Calls it as the admin.
pub(crate) struct Caller {
    client: Client,
    schema: Schema,
}

fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Deployment {
    pub(crate) async fn make() -> Self {
        Self::of(Data::empty().await)
    }

    /// On PostgreSQL, whatever this run is of.
    pub(crate) async fn make_at_server() -> Option<Self> {
        Data::empty_at_server().await.map(Self::of)
    }

    /// In a cluster of the test's own, which it may do anything to.
    pub(crate) async fn make_in(cluster: &Cluster) -> Self {
        Self::of(Data::empty_in(cluster).await)
    }

    /// In this database.
    pub(crate) fn of(data: Data) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let this = Self { data, folder, port: free_port() };
        let (url, out) = (this.data.url(), this.credentials().display().to_string());
        for arguments in
            [&["migrate", "--database-url", &url][..], &["bootstrap", "--database-url", &url, "--out", &out]]
        {
            assert!(portcullis(arguments).status().expect("it runs").success(), "{arguments:?}");
        }
        this
    }

    /// What it logged, all runs together.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn credentials(&self) -> PathBuf {
        self.folder.path().join("admin.json")
    }

    pub(crate) fn serve(&self, more: &[&str]) -> Process {
        self.serve_by(&[], more)
    }

    /// Started by another program, which becomes it.
    pub(crate) fn serve_by(&self, by: &[&str], more: &[&str]) -> Process {
        let listen = format!("127.0.0.1:{}", self.port);
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let url = self.data.url();
        // One that is killed is in the others' way for no longer.
        let lease = ["--lease", "3s"];
        let fixed = ["serve", "--database-url", &url, "--listen", &listen, "--signed-calls-per-second", "100000"];
        let fixed = [&fixed[..], &lease].concat();
        let words = [by, &[env!("CARGO_BIN_EXE_portcullis")], &fixed, more].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("it starts");
        Process { child, endpoint: format!("http://{listen}"), credentials: self.credentials() }
    }

    /// What a second `serve` beside the first says before it gives up.
    pub(crate) async fn serve_beside(&self) -> (ExitStatus, String) {
        let path = self.folder.path().join("second");
        let log = File::create(&path).expect("a log");
        let arguments = ["serve", "--database-url", &self.data.url(), "--listen", "127.0.0.1:0"];
        let mut child = portcullis(&arguments).stderr(log).spawn().expect("it starts");
        let status = ended(&mut child).await;
        (status, std::fs::read_to_string(path).expect("what it said"))
    }
}

impl Process {
    /// Waits until it answers.
    pub(crate) async fn caller(&mut self) -> Caller {
        let endpoint = self.endpoint.parse().expect("an endpoint");
        for _ in 0..400 {
            assert!(self.child.try_wait().expect("a child").is_none(), "it ended by itself");
            if let Ok(channel) = connect(&endpoint, &Tls::default()).await {
                let credentials = Credentials::read(&self.credentials).expect("credentials");
                return Caller { client: Client::new(channel, Some(credentials)), schema: Schema::new() };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it never listened");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// As a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
    }

    /// As an operator does.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        ended(&mut self.child).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to do where it has ended; a test that failed leaves none behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ended(child: &mut Child) -> ExitStatus {
    for _ in 0..600 {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    child.kill().expect("kill");
    panic!("it did not end within 30 seconds");
}

impl Caller {
    pub(crate) async fn call<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<A, CallFailed> {
        let method = self.schema.method(method).expect("a method");
        let message = request.encode_to_vec().into();
        let answer = self.client.unary(&method, message, Proof::AsNeeded, Duration::from_secs(10)).await?;
        Ok(A::decode(answer).expect("the answer reads"))
    }

    pub(crate) async fn application(&self) -> String {
        let application = Some(pb::Application { name: "demo".to_owned(), ..Default::default() });
        let request = pb::CreateApplicationRequest { application, ..Default::default() };
        let made: pb::CreateApplicationResponse =
            self.call("ApplicationService/CreateApplication", &request).await.expect("application");
        made.application.expect("application").application_id
    }

    pub(crate) async fn create(&self, application_id: &str) -> Result<pb::CreateKeyResponse, CallFailed> {
        let request = pb::CreateKeyRequest {
            application_id: application_id.to_owned(),
            name: "key".to_owned(),
            permissions: vec!["tasks:read".to_owned()],
            ..Default::default()
        };
        self.call("KeyService/CreateKey", &request).await
    }

    pub(crate) async fn revoke(&self, key: &pb::Key) -> Result<pb::RevokeKeyResponse, CallFailed> {
        let request = pb::RevokeKeyRequest {
            application_id: key.application_id.clone(),
            key_id: key.key_id.clone(),
            ..Default::default()
        };
        self.call("KeyService/RevokeKey", &request).await
    }

    pub(crate) async fn verdict(&self, secret: &str) -> pb::Verdict {
        let subject = Some(pb::verify_key_request::Subject::Secret(secret.to_owned()));
        let request = pb::VerifyKeyRequest { subject, ..Default::default() };
        self.call::<_, pb::VerifyKeyResponse>("KeyService/VerifyKey", &request).await.expect("verify").verdict()
    }
}
