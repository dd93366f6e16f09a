//! The service as its callers meet it: a real server on a loopback port, real signatures,
//! real SQLite, a manual clock. One binary, so that it links once.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the bans keep the rings of the crate; a test draws, asks and says its seed as it likes"
)]

mod accounts;
mod accounts_grants;
mod accounts_keys;
mod accounts_roots;
mod applications;
mod audit;
mod audit_attack;
mod audit_command;
mod audit_list;
mod bench;
mod body;
mod canary;
mod clients;
mod concurrency;
mod consistency;
mod crash;
mod dev;
mod envoy;
mod envoy_away;
mod envoy_check;
mod expiry;
mod fields;
mod fields_expiry;
mod fields_lists;
mod fields_masks;
mod fields_pages;
mod fields_request_id;
mod fields_secret;
mod gateway;
mod harness;
mod jobs;
mod keys;
mod leaks;
mod lifecycle;
mod limits;
mod limits_change;
mod limits_faults;
mod limits_get;
mod limits_store;
mod open_services;
mod peers;
mod promises;
mod readme;
mod refused_log;
mod renewal;
mod request_id;
mod restrictions;
mod restrictions_update;
mod rotate;
mod rotate_limits;
mod rotate_overlap;
mod rotate_refused;
mod rotate_usage;
mod rotation_policy;
mod schema;
mod scope;
mod signals;
mod signals_storms;
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
mod sweep;
mod sweep_errors;
mod sweep_roles;
mod tls;
mod unused;
mod usage;
mod usage_faults;
mod usage_keys;
mod usage_series;
mod verdict;
mod verify_bad_input;
mod watch;
mod watch_end;
mod watch_resume;
mod watch_slow;
