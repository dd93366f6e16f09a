//! Servers, callers and calls for tests.

mod account;
mod call;
mod persona;
mod refused;
mod server;

pub(crate) use call::{Headers, exchange, message_bytes, nonce, reason, violations};
pub(crate) use persona::{Persona, test_key};
pub(crate) use refused::mask;
pub(crate) use server::{Server, Setup, WriteLock};

/// The gRPC code and the reason that a call was refused with.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> (tonic::Code, String) {
    let status = answer.expect_err("the call must be refused");
    (status.code(), reason(&status))
}

pub(crate) fn uuid() -> String {
    uuid::Uuid::from_u128(rand::random()).to_string()
}
