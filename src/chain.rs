//! The chain of the audit log: what is hashed and how, and what is wrong with a log whose
//! hashes do not add up. Shared by the server, which writes it, and by whoever verifies it.
//!
//! Every event carries the hash of the one before it, and its own hash is over that one and
//! over all of its own fields. So no event can be changed, taken out, put in or moved without
//! changing every hash behind it; and the last hash, kept elsewhere in a signed checkpoint,
//! stands for everything before.
//!
//! Knows neither the database nor the wire.

mod finding;
mod record;
mod verifier;

pub use finding::Finding;
pub use record::{BEGIN, Hash, Link, Record, hex};
pub use verifier::{Anchor, Head, MAX_FINDINGS, Report, Verifier};
