//! Three real processes over a real PostgreSQL, what goes wrong with them, and what their
//! clients saw meanwhile. The seed of a run is printed; `PORTCULLIS_CHAOS_SEED` repeats its
//! faults, `PORTCULLIS_CHAOS_SECONDS` says how long it goes on.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the bans keep the rings of the crate; a test draws, asks and says its seed as it likes"
)]

mod away;
mod book;
mod caller;
mod clients;
mod clock_faults;
mod clocks;
mod cluster;
mod database_faults;
mod dice;
mod failover;
mod fleet;
mod floors;
mod happened;
#[path = "../support/history.rs"]
mod history;
mod kept;
mod links;
mod lost_commits;
mod nonces;
mod outage;
#[allow(dead_code, unused_imports, reason = "shared with tests/it, and each needs a part")]
#[path = "../support/postgres/mod.rs"]
mod postgres;
mod program;
mod promises;
mod proxy;
mod random;
mod recovery;
mod replica_faults;
mod schedule;
mod sender;
mod space;
mod spenders;
mod staff;
mod under_load;
mod upgrade;
mod watchers;
mod wish;
