//! Servers, callers and calls for tests.

mod account;
pub(crate) mod audit;
pub(crate) mod authority;
mod bent;
mod call;
mod data;
mod database;
pub(crate) mod dev;
mod dialect;
mod dice;
pub(crate) mod import;
mod life;
pub(crate) mod limits;
mod lock;
mod notices;
mod persona;
#[allow(dead_code, unused_imports, reason = "shared with tests/chaos, and each needs a part")]
#[path = "../../support/postgres/mod.rs"]
pub(crate) mod postgres;
mod process;
pub(crate) mod program;
mod raw;
pub(crate) mod receiver;
mod refused;
pub(crate) mod rotate;
mod rows;
mod server;
pub(crate) mod session;
pub(crate) mod shop;
pub(crate) mod smtp;
mod stalled;
#[path = "../../support/terminal.rs"]
pub(crate) mod terminal;
pub(crate) mod times;
pub(crate) mod upkeep;
mod usage;
pub(crate) mod verify;
mod waiting;
pub(crate) mod watch;
pub(crate) mod webhook;

pub(crate) use bent::{all_refused, create_message, good_create, must_pass, raw_refusal};
pub(crate) use call::{Headers, exchange, exchange_over, message_bytes, nonce, path, reason, violations};
pub(crate) use data::{Data, Located, has_postgres};
pub(crate) use database::Rows;
pub(crate) use dice::Dice;
pub(crate) use lock::WriteLock;
pub(crate) use persona::{Persona, test_key};
pub(crate) use process::{Caller, Deployment, Process};
pub(crate) use raw::{RawClient, Wire, frame, frame_with, header_map};
pub(crate) use refused::mask;
pub(crate) use rows::member_that_reads;
pub(crate) use server::{Server, Setup};
pub(crate) use stalled::{SlowClient, SlowWatch};
pub(crate) use waiting::until;
pub(crate) use webhook::Hook;

/// The gRPC code and the reason that a call was refused with.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> (tonic::Code, String) {
    let status = answer.expect_err("the call must be refused");
    (status.code(), reason(&status))
}

pub(crate) fn uuid() -> String {
    uuid::Uuid::from_u128(rand::random()).to_string()
}
