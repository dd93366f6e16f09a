pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod pb;
pub mod signing;
