//! Protobuf to domain, with every violation noted at once, and domain to protobuf. The
//! only place where the two meet.

pub(super) mod account;
pub(super) mod application;
pub(super) mod audit;
pub(super) mod common;
pub(super) mod key;
pub(super) mod limit;
pub(super) mod mask;
pub(super) mod subject;
pub(super) mod upkeep;
pub(super) mod usage;
pub(super) mod verify;
pub(super) mod watch;
pub(super) mod webhook;
