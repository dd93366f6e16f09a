use std::sync::atomic::{AtomicU64, Ordering};

use super::{Node, node::ROLE};

/// A database of one test; it goes with the test.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: String,
    /// `postgres://…`
    pub(crate) url: String,
    node: Node,
}

impl Database {
    /// From here on the database is another's to drop.
    pub(crate) fn keep(self) -> String {
        let mut this = self;
        std::mem::take(&mut this.name);
        std::mem::take(&mut this.url)
    }

    /// What an SQL statement answers to the superuser.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.node.try_psql(&self.name, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

impl Drop for Database {
    /// Each takes 8 MiB of what may be memory. Not waited for, and where the server is gone
    /// already, so is the database.
    fn drop(&mut self) {
        let (node, name) = (self.node.clone(), std::mem::take(&mut self.name));
        if !name.is_empty() {
            std::thread::spawn(move || node.try_psql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)")));
        }
    }
}

impl Node {
    /// A new database of the application's role, empty or a copy of another.
    pub(super) fn create(&self, template: Option<&str>) -> Database {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let of = template.unwrap_or("template1");
        self.psql(&format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {of}"));
        Database { url: self.url(&name), name, node: self.clone() }
    }

    /// A new database of this name, empty.
    pub(crate) fn create_named(&self, name: &str) {
        self.psql(&format!("CREATE DATABASE {name} OWNER {ROLE}"));
    }
}
