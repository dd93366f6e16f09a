//! Tells others what happened: webhooks, by Standard Webhooks, and e-mail.
//!
//! What is to be told is written with what it tells, in one transaction, one row for each
//! receiver (`store::deliveries`). The [`Courier`] claims rows, sends them, and marks what
//! came of it. A process that dies in between leaves a claim behind, and what was claimed is
//! sent again with the same id: at least once, never under another name.

mod courier;
mod disable;
pub mod http;
mod letter;
pub mod mail;
mod messenger;
pub mod reach;
pub mod secret;
mod settings;
pub mod vault;

pub use courier::Courier;
pub use messenger::Messenger;
pub use settings::{Settings, SettingsRefused};
