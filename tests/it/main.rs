//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

mod accounts;
mod accounts_grants;
mod accounts_keys;
mod accounts_roots;
mod applications;
mod fields;
mod fields_expiry;
mod fields_lists;
mod fields_masks;
mod fields_pages;
mod fields_request_id;
mod fields_secret;
mod harness;
mod keys;
mod open_services;
mod promises;
mod request_id;
mod scope;
mod sweep;
mod sweep_errors;
mod sweep_roles;
