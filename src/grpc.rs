//! The wire: protobuf to domain and back, refusals to statuses, and the layers around
//! every call. The methods only unpack, delegate and pack.
//!
//! Architecture invariant: the only room that names `tonic::Code`.

mod application_service;
mod audit_service;
mod convert;
mod envoy;
mod errors;
mod frame;
mod gate;
mod health;
mod key_service;
mod listen;
mod proof;
mod reflection;
mod server;
mod service_account_service;
mod services;
mod status;
mod tls;
mod unpack;
mod used;
mod webhook_service;

pub use listen::{Bound, Ceilings, Listen, ListenRefused};
pub use server::Parts;
pub use status::{DOMAIN, reason, status};
pub use tls::{Tls, TlsRefused, TlsRemark};
