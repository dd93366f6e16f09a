//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep the rings of the crate; a test draws and asks as it likes"
)]

mod clients;
mod dev;
mod harness;
mod keys;
mod promises;
mod readme;
mod tls;
