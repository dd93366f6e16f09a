//! What several replicas on one PostgreSQL cost, and after how long what takes effect: real
//! processes, a real server, real signatures. Prints figures, and says nothing of what they
//! should be: absolute times are of the machine and of the moment.
//!
//! ```text
//! cargo bench --bench replicas                       # all of it, in less than ten minutes
//! cargo bench --bench replicas -- --quick            # a little of each, in about one
//! cargo bench --bench replicas -- --memory --json revoke dead
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the bans keep the rings of the crate; a measure reads the clock and says what it found"
)]

#[path = "replicas/caller.rs"]
mod caller;
#[path = "replicas/commits.rs"]
mod commits;
#[path = "replicas/deployment.rs"]
mod deployment;
#[path = "replicas/figure.rs"]
mod figure;
#[path = "replicas/machine.rs"]
mod machine;
#[path = "replicas/measures/mod.rs"]
mod measures;
#[allow(dead_code, unused_imports, reason = "shared with the tests, and each needs a part")]
#[path = "../tests/support/postgres/mod.rs"]
mod postgres;
#[path = "replicas/proxy.rs"]
mod proxy;
#[path = "replicas/rows.rs"]
mod rows;
#[path = "replicas/samples.rs"]
mod samples;
#[path = "replicas/watching.rs"]
mod watching;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser as _;

use figure::Report;
use measures::MEASURES;
use postgres::{Cluster, Options};

/// Measure several replicas on one PostgreSQL
#[derive(Debug, Clone, clap::Parser)]
struct Args {
    /// A little of each, in about a minute
    #[arg(long)]
    quick: bool,

    /// Print a JSON object a line
    #[arg(long)]
    json: bool,

    /// Keep the server's data in memory, where a commit waits for no disk
    #[arg(long)]
    memory: bool,

    /// Only these parts
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(MEASURES.map(|measure| measure.name)))]
    only: Vec<String>,

    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What every part gets.
struct Setting {
    cluster: Arc<Cluster>,
    report: Report,
    quick: bool,
}

impl Setting {
    /// How many, or how long: less of it where time is short.
    fn full_or<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&args));
    // What is left waits for nothing that is still of use.
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn start(on_disk: bool) -> Cluster {
    let started = tokio::task::spawn_blocking(move || Cluster::start(&Options { on_disk, ..Options::default() }));
    started.await.expect("a PostgreSQL")
}

async fn run(args: &Args) {
    let begun = Instant::now();
    let report = Report::new(args.json);
    report.say(&machine::describe(args.memory));
    let mut shared = None;
    for measure in MEASURES {
        if !args.only.is_empty() && !args.only.iter().any(|name| name == measure.name) {
            continue;
        }
        // Each has a server of its own, so that none is measured on what another left behind; but to
        // start one takes longer than a quick look.
        let cluster = match shared.take().filter(|_| args.quick && !measure.changes_the_server) {
            Some(cluster) => cluster,
            None => Arc::new(start(!args.memory).await),
        };
        if !measure.changes_the_server {
            shared = Some(Arc::clone(&cluster));
        }
        let setting = Setting { cluster, report, quick: args.quick };
        report.head(measure.name, measure.what);
        measure.run(&setting).await;
    }
    report.say(&format!("{} s, {}", begun.elapsed().as_secs(), machine::load()));
}
