//! A PostgreSQL of the tests' own, for any test binary:
//!
//! ```text
//! #[path = "../support/postgres/mod.rs"]
//! mod postgres;
//! ```
//!
//! [`Cluster::shared`] is one server for all the tests of a binary, [`Cluster::database`] a
//! database in it. A test that stops, kills or promotes servers starts a [`Cluster`] itself.
//! Whatever becomes of the test, its servers end with it and leave no file behind.

mod database;
mod faults;
mod keeper;
mod node;
mod programs;
mod shared;
mod standby;
mod time_of_day;

pub(crate) use database::Database;
pub(crate) use faults::{Backend, Paused, signal};
pub(crate) use node::{Node, Options, free_port};
pub(crate) use programs::Programs;
pub(crate) use shared::Cluster;
pub(crate) use standby::Sync;
pub(crate) use time_of_day::TimeOfDay;
