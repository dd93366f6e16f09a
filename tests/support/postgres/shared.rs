use std::{collections::HashSet, ops::Deref, sync::OnceLock};

use tokio::task::spawn_blocking;

use super::{Database, Node, Options, Programs, keeper::Keeper};

/// A primary, and whatever standbys a test gives it. It derefs to the primary.
#[derive(Debug)]
pub(crate) struct Cluster {
    primary: Node,
    templates: tokio::sync::Mutex<HashSet<String>>,
    /// Declared last: it goes when nothing else of the cluster is in use.
    _keeper: Keeper,
}

impl Deref for Cluster {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.primary
    }
}

impl Cluster {
    /// Takes a second; nothing of it is left when it is dropped, or the test ends in any way.
    pub(crate) fn start(options: &Options) -> Self {
        let programs = Programs::find().unwrap_or_else(|why| panic!("{why}"));
        let keeper = Keeper::start(programs, options.on_disk);
        let primary = Node::primary(programs, &keeper.folder, "primary", options);
        Self { primary, templates: tokio::sync::Mutex::default(), _keeper: keeper }
    }

    /// The one of this test binary, started when it is first asked for.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        spawn_blocking(|| SHARED.get_or_init(|| Self::start(&Options::default()))).await.expect("a PostgreSQL")
    }

    /// A new database, empty.
    pub(crate) async fn database(&self) -> Database {
        let node = self.primary.clone();
        spawn_blocking(move || node.create(None)).await.expect("a database")
    }

    /// A new database that begins as the template of this name, which `fill` fills, by its
    /// URL, when it is first asked for. `fill` must leave no connection open.
    pub(crate) async fn database_from_template(&self, name: &str, fill: impl AsyncFnOnce(&str)) -> Database {
        let mut templates = self.templates.lock().await;
        if !templates.contains(name) {
            let (node, template) = (self.primary.clone(), name.to_owned());
            let anew = move || {
                // An earlier attempt to fill it may have failed.
                node.psql(&format!("DROP DATABASE IF EXISTS {template}"));
                node.create_named(&template);
            };
            spawn_blocking(anew).await.expect("a template");
            fill(&self.primary.url(name)).await;
            templates.insert(name.to_owned());
        }
        drop(templates);
        let (node, template) = (self.primary.clone(), name.to_owned());
        spawn_blocking(move || node.create(Some(&template))).await.expect("a copy")
    }
}
