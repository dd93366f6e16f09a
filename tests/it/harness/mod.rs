//! Servers, callers and calls for tests.

mod call;
mod database;
mod dice;
mod persona;
mod process;
mod server;
mod stalled;
pub(crate) mod watch;

pub(crate) use call::{Headers, message_bytes, reason, violations};
pub(crate) use database::Rows;
pub(crate) use dice::Dice;
pub(crate) use persona::{Persona, test_key};
pub(crate) use process::{Caller, Deployment};
pub(crate) use server::{Server, Setup, WriteLock};
pub(crate) use stalled::{SlowClient, SlowWatch};

/// The gRPC code and the reason that a call was refused with.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> (tonic::Code, String) {
    let status = answer.expect_err("the call must be refused");
    (status.code(), reason(&status))
}

pub(crate) fn uuid() -> String {
    uuid::Uuid::from_u128(rand::random()).to_string()
}
