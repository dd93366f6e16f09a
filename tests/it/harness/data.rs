//! Where a test keeps its data: a database of its own, of the engine that this run is of.
//!
//! `PORTCULLIS_TEST_ENGINE` says which: `sqlite`, as when it says nothing, or `postgres`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use portcullis::store::{DatabaseUrl, Store};
use tempfile::TempDir;

use super::{
    Deployment, Rows, Server, dialect,
    postgres::{Cluster, Database, Programs},
};

/// A database that goes with its test.
#[derive(Debug)]
pub(crate) struct Data {
    url: String,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    File(TempDir),
    Server { _database: Database },
}

/// What knows where a database is.
pub(crate) trait Located {
    /// `sqlite://…` or `postgres://…`
    fn url(&self) -> String;
}

impl Data {
    /// Nothing is there yet: `migrate` makes it.
    pub(crate) async fn empty() -> Self {
        if !of_postgres() {
            return Self::file();
        }
        Self::empty_in(Cluster::shared().await).await
    }

    /// As [`Data::empty`], on PostgreSQL, whatever this run is of.
    pub(crate) async fn empty_at_server() -> Option<Self> {
        Some(Self::empty_in(cluster().await?).await)
    }

    pub(super) async fn empty_in(cluster: &Cluster) -> Self {
        Self::server(cluster.database_from_template("bare", dialect::teach).await)
    }

    /// With the schema of today.
    pub(crate) async fn migrated() -> Self {
        if !of_postgres() {
            let this = Self::file();
            Store::migrate(&this.database_url()).await.expect("migrate");
            return this;
        }
        Self::migrated_in(Cluster::shared().await).await
    }

    /// As [`Data::migrated`], on PostgreSQL, whatever this run is of.
    pub(crate) async fn migrated_at_server() -> Option<Self> {
        Some(Self::migrated_in(cluster().await?).await)
    }

    async fn migrated_in(cluster: &Cluster) -> Self {
        let fill = async |url: &str| {
            dialect::teach(url).await;
            Store::migrate(&url.parse().expect("a URL")).await.expect("migrate");
        };
        Self::server(cluster.database_from_template("migrated", fill).await)
    }

    /// A file, whatever this run is of: for what is about files.
    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        Self { url: format!("sqlite://{}", file_in(&folder).display()), kept: Kept::File(folder) }
    }

    fn server(database: Database) -> Self {
        Self { url: database.url.clone(), kept: Kept::Server { _database: database } }
    }

    pub(crate) fn database_url(&self) -> DatabaseUrl {
        self.url.parse().expect("a URL")
    }

    /// The database file: for what is about files.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.kept {
            Kept::File(folder) => file_in(folder),
            Kept::Server { .. } => panic!("a file, where the tests run on PostgreSQL: this test is about SQLite"),
        }
    }

    /// All that is written in it, as somebody finds it who takes it away.
    pub(crate) async fn written(&self) -> Vec<u8> {
        match &self.kept {
            Kept::File(_) => {
                let path = self.path();
                let files = [std::fs::read(&path), std::fs::read(path.with_extension("db-wal"))];
                files.map(Result::unwrap_or_default).concat()
            }
            Kept::Server { .. } => Rows::of(self).await.written().await,
        }
    }
}

impl<T: Located + ?Sized> Located for &T {
    fn url(&self) -> String {
        (**self).url()
    }
}

impl<T: Located> Located for Arc<T> {
    fn url(&self) -> String {
        (**self).url()
    }
}

impl Located for Data {
    fn url(&self) -> String {
        self.url.clone()
    }
}

impl Located for Server {
    fn url(&self) -> String {
        self.data.url()
    }
}

impl Located for Deployment {
    fn url(&self) -> String {
        self.data.url()
    }
}

/// The file that a program was told of.
impl Located for Path {
    fn url(&self) -> String {
        format!("sqlite://{}", self.display())
    }
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("portcullis.db")
}

fn of_postgres() -> bool {
    match std::env::var("PORTCULLIS_TEST_ENGINE") {
        Err(_) => false,
        Ok(engine) if engine == "sqlite" => false,
        Ok(engine) if engine == "postgres" => true,
        Ok(engine) => panic!("PORTCULLIS_TEST_ENGINE is sqlite or postgres, not {engine}"),
    }
}

/// The one server of all tests.
async fn cluster() -> Option<&'static Cluster> {
    if has_postgres() { Some(Cluster::shared().await) } else { None }
}

/// Without the programs of a server the test skips, but not in CI.
pub(crate) fn has_postgres() -> bool {
    use std::io::Write as _;

    let found = Programs::find();
    if let Err(why) = &found {
        assert!(std::env::var_os("CI").is_none(), "{why}; CI skips nothing");
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
    }
    found.is_ok()
}
