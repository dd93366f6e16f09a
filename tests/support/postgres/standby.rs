use super::{Node, node::good};

/// Whether a primary waits for a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Yes,
    No,
}

impl Node {
    /// A copy of this server that follows it. Waits until it streams and, where the primary
    /// shall wait for it, until that does.
    pub(crate) fn standby(&self, name: &str, sync: Sync) -> Self {
        let standby = Self::new(self.programs, &self.folder, self.logs.clone(), name).stepped(self.is_stepped());
        let mut command = standby.command("pg_basebackup");
        command.args(["--checkpoint=fast", "--no-sync", "--wal-method=stream", "--username=postgres"]);
        command.arg("--host").arg(&self.folder).arg("--port").arg(self.port.to_string());
        good(command.arg("--pgdata").arg(standby.data()), &self.log());
        standby.listen();
        let (host, port) = (self.folder.display(), self.port);
        standby.configure(&format!(
            "primary_conninfo = 'host={host} port={port} user=postgres application_name={name}'\n\
             wal_receiver_status_interval = '1s'\n"
        ));
        good(standby.command("touch").arg(standby.data().join("standby.signal")), &standby.log());
        standby.start();
        self.until(&format!(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        ));
        if sync == Sync::Yes {
            self.wait_for_standby(name);
        }
        standby
    }

    /// From here on a commit waits until the standby has it on disk; what was committed before
    /// is there, too.
    pub(crate) fn wait_for_standby(&self, name: &str) {
        self.set("synchronous_standby_names", name);
        self.until(&format!(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}' AND sync_state = 'sync'"
        ));
        // The log is one line: when this commit is there, all before it are.
        self.psql("CREATE TABLE IF NOT EXISTS mark (x int)");
        self.psql("DROP TABLE mark");
    }

    /// Waits until this standby has written all that its primary has now.
    pub(crate) fn has_all_of(&self, primary: &Self) {
        let at = primary.psql("SELECT pg_current_wal_flush_lsn()");
        self.until(&format!("SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{at}'"));
    }

    /// A standby becomes a primary, on a timeline of its own.
    pub(crate) fn promote(&self) {
        let mut command = self.command("pg_ctl");
        good(command.args(["promote", "--wait", "--silent", "--pgdata"]).arg(self.data()), &self.log());
    }
}
