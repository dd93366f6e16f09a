//! A database and its replicas: `portcullis serve`, as it is shipped.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;

use crate::{
    caller::Caller,
    postgres::{Cluster, Database},
};

pub(crate) struct Deployment {
    pub(crate) database: Database,
    folder: tempfile::TempDir,
}

/// One that runs. Ends when it is dropped.
pub(crate) struct Replica {
    child: Child,
    pub(crate) caller: Caller,
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
}

/// How long one may take to start, with very many keys.
const PATIENCE: Duration = Duration::from_secs(180);

impl Deployment {
    pub(crate) async fn make(cluster: &Cluster) -> Self {
        let database = cluster.database().await;
        let folder = tempfile::tempdir().expect("folder");
        let this = Self { database, folder };
        let (url, credentials) = (this.database.url.clone(), this.credentials());
        let made = spawn_blocking(move || {
            let run = |command: &mut Command| assert!(command.status().expect("it runs").success(), "{command:?}");
            run(&mut command(&["migrate", "--database-url", &url]));
            run(command(&["bootstrap", "--database-url", &url, "--out"]).arg(credentials));
        });
        made.await.expect("a database with an admin");
        this
    }

    fn credentials(&self) -> PathBuf {
        self.folder.path().join("admin.json")
    }

    /// So many, which answer.
    pub(crate) async fn replicas(&self, many: usize, lease: &str) -> Vec<Replica> {
        let mut replicas = Vec::new();
        for _ in 0..many {
            replicas.push(self.replica(&["--lease", lease]).await);
        }
        replicas
    }

    pub(crate) async fn replica(&self, more: &[&str]) -> Replica {
        self.replica_by(&self.database.url, more).await
    }

    /// One that reaches the database by another way.
    pub(crate) async fn replica_by(&self, url: &str, more: &[&str]) -> Replica {
        let begun = Instant::now();
        let listen = free_address();
        let fixed = ["serve", "--database-url", url, "--listen", &listen, "--signed-calls-per-second", "100000"];
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log"));
        let mut command = command(&fixed);
        command.args(more).stderr(log.expect("a log"));
        let mut child = command.spawn().expect("it starts");
        let caller = answers(&mut child, &format!("http://{listen}"), &self.credentials(), begun).await;
        Replica { child, caller, started_in: begun.elapsed() }
    }
}

async fn answers(child: &mut Child, endpoint: &str, credentials: &Path, begun: Instant) -> Caller {
    while begun.elapsed() < PATIENCE {
        assert!(child.try_wait().expect("a child").is_none(), "a replica ended by itself");
        // It listens before it has loaded what it answers by.
        if let Some(caller) = Caller::connect(endpoint, credentials).await
            && caller.verify("nobody's").await.is_ok()
        {
            return caller;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a replica never listened");
}

impl Replica {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill").success(), "SIG{name}");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Nothing to do where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Without an environment every setting is the default.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}
