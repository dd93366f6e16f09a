//! Tells others what happened: webhooks, by Standard Webhooks, and e-mail.

pub mod backoff;
pub mod http;
pub mod mail;
pub mod reach;
pub mod secret;
pub mod vault;
