//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

mod canary;
mod concurrency;
mod crash;
mod harness;
mod keys;
mod promises;
mod schema;
mod storage;
mod watch;
mod watch_end;
mod watch_resume;
mod watch_slow;
