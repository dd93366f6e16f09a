//! What Portcullis is about: keys, callers, permissions, verdicts, events, and the
//! rules between them.
//!
//! Architecture invariant: nothing here does I/O, reads a clock or draws a random
//! number, and nothing here knows protobuf or SQL.

pub mod account;
pub mod act;
pub mod alert;
pub mod application;
pub mod backoff;
pub mod balance;
pub mod certificate;
pub mod delivery;
pub mod email;
pub mod event;
pub mod id;
pub mod key;
pub mod leak;
pub mod limit;
pub mod lineage;
pub mod network;
pub mod notice;
pub mod origin;
pub mod page;
pub mod permission;
pub mod referrer;
pub mod refusal;
pub mod resource;
pub mod restriction;
pub mod schedule;
pub mod seal;
pub mod secret;
pub mod signal;
pub mod span;
pub mod subnet;
pub mod text;
pub mod time;
pub mod timer;
pub mod token;
pub mod upkeep;
pub mod usage;
pub mod verdict;
pub mod webhook;
