//! The database: rows, the log, and the one way to write.
//!
//! A concrete [`Store`] over sea-orm, no trait: sea-orm's connection already is the
//! choice between engines. Only [`Store::write`] changes what callers see, and it always
//! writes the event, the audit row and the spent nonce in the same transaction.
//!
//! Where a server lets several write at once, nobody waits in a circle:
//! - heads are taken in this order: the log's, the notices', the audit log's;
//! - a webhook is taken behind the notices' head, and before what is on its way to it;
//! - other rows are taken table by table, in the order of their keys;
//! - who does what can be done later (claims, what is forgotten) passes over what is taken.
//!
//! Architecture invariant: no type of sea-orm leaves this room.

mod accounts;
mod applications;
mod audit;
mod budgets;
mod claims;
mod codec;
mod connect;
mod deliveries;
mod entity;
mod error;
mod forget;
mod keys;
mod leaks;
mod listen;
mod lock;
mod log;
mod members;
mod nonces;
mod notices;
mod read;
mod requests;
mod seals;
mod server;
mod signals;
mod sync;
mod time;
mod timers;
mod tx;
mod url;
mod usage;
mod webhooks;
mod write;

pub use audit::{AuditFilter, Order as AuditOrder};
pub use budgets::{Ask, AskSpan, Grant, HandedOut, Unspent};
pub use connect::Store;
pub use deliveries::{Channel, Claimed, Destination, Marked, Slots};
pub use error::{Error, OpenError};
pub use keys::KeyFilter;
pub use log::{LogPage, PAGE as LOG_PAGE, Resume};
pub use members::{LeftBehind, Member, Newcomer};
pub use read::{Loaded, Snapshot};
pub use requests::CreateRequest;
pub use server::{Incarnation, Standbys, SynchronousCommit, Weakness};
pub use signals::Noted;
pub use sync::{Synced, Turn};
pub use timers::DueKey;
pub use tx::Tx;
pub use url::{DatabaseUrl, DatabaseUrlInvalid};
pub use write::Committed;
