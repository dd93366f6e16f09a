//! What the operator chooses: every setting is a flag and a `PORTCULLIS_…` variable, from
//! one declaration that also makes the help. Values are checked where they are read.

mod database;
mod notify;
mod server;

pub use database::DatabaseArgs;
pub use notify::NotifyArgs;
pub use server::{ListenArgs, ServeArgs};
