//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

mod accounts;
mod accounts_grants;
mod accounts_keys;
mod accounts_roots;
mod applications;
mod fields;
mod fields_expiry;
mod fields_masks;
mod fields_pages;
mod fields_request_id;
mod fields_secret;
mod harness;
mod keys;
mod promises;
mod scope;
