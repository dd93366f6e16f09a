//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

mod harness;
mod keys;
mod promises;
