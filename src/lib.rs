#[cfg(feature = "client")]
pub mod client;
pub mod pb;
pub mod signing;
#[cfg(feature = "server")]
pub mod telemetry;
