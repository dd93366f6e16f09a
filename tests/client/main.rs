//! The caller's side, as its users have it: the command line and the bytes it makes.

#![cfg(feature = "client")]
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep the rings of the crate; a test draws and asks as it likes"
)]

mod commands;
mod corpus;
#[cfg(feature = "server")]
mod grpcurl;
#[cfg(feature = "server")]
mod people;
#[cfg(feature = "server")]
mod raw_server;
#[cfg(feature = "server")]
mod served;
mod support;
mod sweep;
#[cfg(feature = "server")]
#[path = "../support/terminal.rs"]
mod terminal;
