//! A deployment: three replicas over a database with a synchronous standby.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use portcullis::pb;
use tonic::Status;

use crate::{
    caller::{self, Caller, Client},
    happened::Happened,
    postgres::{Cluster, Node, Options, Sync},
    program::{Replica, Settings, portcullis},
    space::Link,
    wish::Wish,
};

const DATABASE: &str = "portcullis";

/// Mutations that wait for the standby to have their commit. They have many tables, and syncs do not.
const WAITING: &str = "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid) \
     WHERE a.wait_event = 'SyncRep' AND l.mode = 'RowExclusiveLock' AND l.database = \
     (SELECT oid FROM pg_database WHERE datname = 'portcullis') \
     GROUP BY a.pid HAVING count(DISTINCT l.relation) > 8";

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) replicas: Vec<Arc<Replica>>,
    pub(crate) clients: Vec<Client>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) application: String,
    nodes: Mutex<Nodes>,
    stepped_since: OnceLock<Duration>,
    pub(crate) happened: Happened,
    /// These two go last: all others use them.
    _folder: tempfile::TempDir,
    _cluster: Cluster,
}

/// The database's servers as of now.
#[derive(Debug, Clone)]
struct Nodes {
    primary: Node,
    standby: Option<Node>,
    /// Names for the next standbys.
    made: usize,
}

impl Fleet {
    pub(crate) async fn start(wish: &Wish) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let credentials = folder.path().join("admin.json");
        let (wants, out, options) = (wish.standby, credentials.clone(), wish.database.clone());
        let program = wish.program.clone();
        let options = Options { logs: kept_logs(), ..options };
        let work = move || {
            let cluster = Cluster::start(&options);
            cluster.create_named(DATABASE);
            let standby = wants.map(|sync| cluster.standby("standby0", sync));
            let url = cluster.url(DATABASE);
            let out = out.display().to_string();
            succeeds(&program, &["migrate", "--database-url", &url]);
            succeeds(&program, &["bootstrap", "--database-url", &url, "--out", &out]);
            (cluster, standby)
        };
        let (cluster, standby) = tokio::task::spawn_blocking(work).await.expect("a database");
        let primary = (*cluster).clone();
        let logs = kept_logs().unwrap_or_else(|| folder.path().to_owned());
        let mut replicas = Vec::new();
        for number in 0..wish.replicas {
            let lease = wish.leases[number % wish.leases.len()];
            let (more, program) = (wish.more.clone(), wish.program.clone());
            let settings = Settings { lease, more, program, database: DATABASE.to_owned() };
            let link = if wish.link && number + 1 == wish.replicas { Link::try_new() } else { None };
            replicas.push(Arc::new(Replica::new(number, &primary, settings, link, &logs).await));
        }
        replicas.iter().for_each(|replica| replica.start());
        let caller = Caller::read(&credentials);
        let clients = replicas.iter().map(|replica| caller.client(replica)).collect();
        let nodes = Mutex::new(Nodes { primary, standby, made: 1 });
        let application = String::new();
        let mut fleet = Self {
            replicas,
            clients,
            caller,
            application,
            nodes,
            stepped_since: OnceLock::new(),
            happened: Happened::default(),
            _folder: folder,
            _cluster: cluster,
        };
        fleet.application = fleet.make_application(Duration::ZERO).await;
        for number in 0..wish.replicas {
            fleet.answers(number).await;
        }
        fleet
    }

    pub(crate) async fn make_application(&self, kept: Duration) -> String {
        let max_cache_ttl = kept.try_into().ok();
        let application = Some(pb::Application { name: "demo".to_owned(), max_cache_ttl, ..Default::default() });
        let request = pb::CreateApplicationRequest { application, ..Default::default() };
        let mut last = None;
        for _ in 0..300 {
            let method = "ApplicationService/CreateApplication";
            match self.clients[0].signed::<pb::CreateApplicationResponse>(method, &request, PATIENCE).await {
                Ok(made) => return made.application.expect("application").application_id,
                Err(status) => last = Some(status),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no application: {last:?}\n{}", self.replicas[0].said(30));
    }

    /// Waits until a replica answers from its index.
    pub(crate) async fn answers(&self, number: usize) {
        let begun = Instant::now();
        loop {
            match self.verdict(number, "sk_live_nobody").await {
                Ok(_) => return,
                Err(status) if begun.elapsed() > Duration::from_secs(60) => {
                    panic!("replica {number} never answers: {status}\n{}", self.replicas[number].said(30));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Brings the database's schema to that of another program, while replicas serve.
    pub(crate) fn migrate(&self, program: &Path) {
        succeeds(program, &["migrate", "--database-url", &self.primary().url(DATABASE)]);
    }

    /// Steps the database's time of day.
    pub(crate) fn step_primary_to(&self, ahead: i64) {
        self.note_step();
        self.primary().step_to(ahead);
    }

    /// Steps that of the server which is the database after a failover.
    pub(crate) fn step_standby_to(&self, ahead: i64) {
        self.note_step();
        self.standby().into_iter().for_each(|standby| standby.step_to(ahead));
    }

    fn note_step(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        self.stepped_since.get_or_init(|| now);
    }

    /// The machine's time of day when the database's first may have been another.
    pub(crate) fn stepped_since(&self) -> Option<Duration> {
        self.stepped_since.get().copied()
    }

    /// From here on the time of day of all replicas is so many seconds ahead of the machine's.
    pub(crate) fn step_replicas_to(&self, ahead: i64) {
        self.replicas.iter().for_each(|replica| replica.time_of_day.step_to(ahead));
    }

    /// Steps the database's time of day, and waits until every replica has heard of it.
    pub(crate) async fn step_database_to(&self, ahead: i64) {
        self.step_primary_to(ahead);
        // A sync begins every second, and one that had begun may still be on its way.
        tokio::time::sleep(2 * SYNC).await;
    }

    pub(crate) async fn create(&self, at: usize, name: &str) -> Result<pb::CreateKeyResponse, Status> {
        self.clients[at].signed("KeyService/CreateKey", &caller::create(&self.application, name), PATIENCE).await
    }

    /// A key that all replicas know: Create waits for that.
    pub(crate) async fn key(&self) -> (pb::Key, String) {
        let made = again(async || self.create(0, "key").await).await.expect("create");
        (made.key.expect("key"), made.secret)
    }

    /// Waits until a replica answers that a key is VALID.
    pub(crate) async fn knows(&self, at: usize, secret: &str) {
        for _ in 0..400 {
            if matches!(self.verdict(at, secret).await, Ok(pb::Verdict::Valid)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("replica {at} never knows the key");
    }

    /// Waits for the replicas, or for a minute.
    pub(crate) async fn revoke(&self, at: usize, key: &pb::Key) -> Result<pb::RevokeKeyResponse, Status> {
        again(async || self.revoke_within(at, key, Duration::from_mins(1)).await).await
    }

    pub(crate) async fn revoke_within(
        &self,
        at: usize,
        key: &pb::Key,
        within: Duration,
    ) -> Result<pb::RevokeKeyResponse, Status> {
        let request = caller::revoke(key, pb::RevokeWait::Unspecified);
        self.clients[at].signed("KeyService/RevokeKey", &request, within).await
    }

    pub(crate) async fn verdict(&self, at: usize, secret: &str) -> Result<pb::Verdict, Status> {
        let within = Duration::from_secs(5);
        let answer: Result<pb::VerifyKeyResponse, _> =
            self.clients[at].by_token("KeyService/VerifyKey", &caller::verify(secret), within).await;
        answer.map(|answer| answer.verdict())
    }

    /// Cancels the commit of a mutation as soon as it waits for the standby. Only the mutation's: a sync that
    /// was cancelled so would be a sync that is not there, either.
    pub(crate) fn cancel_mutation(&self) {
        self.primary().until(&format!("SELECT pg_cancel_backend(pid) FROM ({WAITING}) AS waiting"));
    }

    /// Waits until the commit of one waits for the standby.
    pub(crate) fn mutation_waits(&self) {
        self.primary().until(WAITING);
    }

    pub(crate) fn primary(&self) -> Node {
        self.nodes.lock().expect("lock").primary.clone()
    }

    pub(crate) fn standby(&self) -> Option<Node> {
        self.nodes.lock().expect("lock").standby.clone()
    }

    /// What the application's database answers.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.try_psql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) fn try_psql(&self, sql: &str) -> Result<String, String> {
        self.primary().try_psql(DATABASE, sql)
    }

    /// The rows of those that serve.
    pub(crate) fn members(&self) -> Vec<String> {
        self.psql("SELECT id FROM replica ORDER BY id").lines().map(str::to_owned).collect()
    }

    /// Waits until the primary's commits wait for a standby that is there.
    pub(crate) fn is_followed(&self) {
        self.primary().until("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'");
    }

    /// What is wrong with the history in the database: it is dense, and each revision audited.
    pub(crate) fn history_is_whole(&self) -> Vec<String> {
        let asked = [
            ("SELECT (SELECT seq FROM log_head) - max(seq) FROM event_log", "0"),
            ("SELECT max(seq) - min(seq) + 1 - count(*) FROM event_log", "0"),
            (
                "SELECT count(*) FROM event_log e WHERE seq > 0 AND NOT EXISTS \
                 (SELECT 1 FROM audit_event a WHERE a.revision = e.seq AND a.outcome = 'OK')",
                "0",
            ),
        ];
        let wrong = asked.into_iter().map(|(sql, expected)| (sql, self.psql(sql), expected));
        wrong.filter(|(_, is, expected)| is != expected).map(|(sql, is, _)| format!("{is}: {sql}")).collect()
    }

    /// The standby becomes the primary. The replicas go on with the one before until they are
    /// led to it.
    pub(crate) fn promote(&self) -> Node {
        let mut nodes = self.nodes.lock().expect("lock");
        let standby = nodes.standby.take().expect("a standby");
        standby.promote();
        // Nobody follows it yet, so that it would wait for ever.
        standby.set("synchronous_standby_names", "");
        nodes.primary = standby.clone();
        standby
    }

    pub(crate) fn lead_to(&self, node: &Node) {
        self.replicas.iter().for_each(|replica| replica.proxy.lead_to(node.port));
    }

    /// A new standby of what is the primary now.
    pub(crate) fn follow(&self, sync: Sync) {
        let mut nodes = self.nodes.lock().expect("lock");
        let name = format!("standby{}", nodes.made);
        nodes.made += 1;
        nodes.standby = Some(nodes.primary.standby(&name, sync));
    }

    pub(crate) fn heal(&self) {
        self.replicas.iter().for_each(|replica| replica.heal());
    }
}

fn succeeds(program: &Path, arguments: &[&str]) {
    let ended = portcullis(program, arguments).output().expect("it runs");
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Where logs go that somebody wants to keep.
fn kept_logs() -> Option<PathBuf> {
    std::env::var_os("PORTCULLIS_CHAOS_LOGS").map(PathBuf::from)
}

/// As a client does with what says that it was not done: a connection to a database that is gone
/// is found out when it is used.
pub(crate) async fn again<T>(call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
    for _ in 0..20 {
        match call().await {
            Err(status) if caller::reason(&status) == "STORE_UNAVAILABLE" => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            answer => return answer,
        }
    }
    call().await
}

/// How often a replica syncs.
const SYNC: Duration = Duration::from_secs(1);

/// How long a call may take that nothing disturbs: a debug build on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
