//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

mod clients;
mod dev;
mod harness;
mod keys;
mod promises;
mod readme;
mod tls;
