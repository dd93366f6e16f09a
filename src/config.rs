//! What the operator chooses: every setting is a flag and a `PORTCULLIS_…` variable, from
//! one declaration that also makes the help; and a key of the file that `--config` names. Values are checked where they are read.

mod database;
mod notify;
mod server;
mod sources;

pub use database::DatabaseArgs;
pub use notify::NotifyArgs;
pub use server::{ListenArgs, ServeArgs};
pub use sources::{Refused, SettingsWrong, secrets_in, with_settings};
