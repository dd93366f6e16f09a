//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep the rings of the crate; a test draws and asks as it likes"
)]

mod body;
mod canary;
mod clients;
mod concurrency;
mod crash;
mod dev;
mod harness;
mod keys;
mod promises;
mod readme;
mod schema;
mod signature_headers;
mod signature_http2;
mod signature_limit;
mod signature_proof;
mod signature_refused;
mod signature_replay;
mod signature_token;
mod signature_token_form;
mod signature_vectors;
mod storage;
mod tls;
mod watch;
mod watch_end;
mod watch_resume;
mod watch_slow;
