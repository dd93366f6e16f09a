//! The database: rows, the log, and the one way to write.
//!
//! A concrete [`Store`] over sea-orm, no trait: sea-orm's connection already is the
//! choice between engines. Only [`Store::write`] changes what callers see, and it always
//! writes the event, the audit row and the spent nonce in the same transaction.
//!
//! # The order of locks
//!
//! Where an engine lets several write at once, whoever holds a lock of this list takes only those
//! behind it, so that nobody waits in a circle; rows of one table are taken in the order of their
//! keys, and what is forgotten takes no row that somebody else has (`forget::delete_unlocked`).
//!
//! ```text
//! replica (its own row; another's only if nobody has it) → log_head → nonce → rows of keys, accounts, …
//!     → key_network → alert → alert_hour → notice_head → webhook → delivery → audit_head
//! budget, usage, last_use: in transactions of their own
//! ```
//!
//! Every mutation begins with `log_head`: it is alone from there on, and reads what holds until its
//! commit. Each replica's tests run against several stores at once (`postgres_stores`).
//!
//! Architecture invariant: no type of sea-orm leaves this room.

mod accounts;
mod applications;
mod audit;
mod backup;
mod beside;
mod budgets;
mod claims;
mod codec;
mod connect;
mod deliveries;
mod entity;
mod error;
mod forget;
mod imports;
mod keys;
mod leaks;
mod listen;
mod lock;
mod log;
mod look;
mod members;
mod nonces;
mod notices;
mod owner;
mod partial;
mod read;
mod requests;
mod restore;
mod restored;
mod said;
mod seals;
mod server;
mod signals;
mod sync;
mod tables;
mod time;
mod timers;
mod tx;
mod url;
mod usage;
mod webhooks;
mod write;

pub use audit::{AuditFilter, Order as AuditOrder};
pub use backup::{Backup, BackupError};
pub use beside::Fork;
pub use budgets::{Ask, AskSpan, Grant, HandedOut, Unspent};
pub use connect::{Store, Unreached};
pub use deliveries::{Channel, Claimed, Destination, GivenUp, Marked, Slots};
pub use error::{Error, OpenError};
pub use keys::KeyFilter;
pub use log::{LogPage, PAGE as LOG_PAGE, Resume};
pub use look::{FileLook, Inside, Look};
pub use members::{LONGEST_LEASE, LeftBehind, Member, Newcomer};
pub use read::{Loaded, Snapshot};
pub use requests::CreateRequest;
pub use restore::{Put, Replaces, RestoreError};
pub use restored::Restored;
pub use server::{Incarnation, Standbys, SynchronousCommit, Weakness};
pub use signals::Noted;
pub use sync::{Entered, Synced, Turn};
pub use tables::Unfit;
pub use timers::DueKey;
pub use tx::Tx;
pub use url::{DatabaseUrl, DatabaseUrlInvalid};
pub use write::Committed;
