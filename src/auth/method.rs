//! What each method needs: made by `build.rs` from the `access` option in the protos, and for
//! Envoy's one method by hand.

use crate::domain::account::Role;

/// How a call proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A mutation: a signature over its exact bytes, used once.
    SignedRequest,
    SignedRequestOrToken,
}

/// A method and who may call it.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// `/portcullis.v1.KeyService/CreateKey`
    pub path: &'static str,
    pub credential: Credential,
    /// One of these, or ADMIN.
    pub roles: &'static [Role],
    /// Any proven caller passes.
    pub any_caller: bool,
    /// The nonce of a signed call is kept in memory, so that no database is touched.
    pub nonce_in_memory: bool,
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

impl Method {
    /// By `:path`; what is not in the table does not exist.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        // Most differ in length, which is compared first; a binary search would compare their long common beginnings.
        METHODS.iter().find(|method| method.path == path)
    }

    /// `portcullis.v1.KeyService/CreateKey`
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.trim_start_matches('/')
    }

    /// `portcullis.v1.KeyService`
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.name().split_once('/').map_or(self.name(), |(service, _)| service)
    }

    #[must_use]
    pub fn is_mutation(&self) -> bool {
        self.credential == Credential::SignedRequest
    }
}

const HEALTH: &str = "/grpc.health.v1.Health/";

/// What needs no credential: health and reflection. This list may only shrink.
const OPEN: &[&str] = &[HEALTH, "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

/// Whether anybody may call it.
#[must_use]
pub fn is_open(path: &str) -> bool {
    OPEN.iter().any(|service| path.starts_with(service))
}

/// Whether it is one of those that ask whether the server is well.
#[must_use]
pub fn is_health(path: &str) -> bool {
    path.starts_with(HEALTH)
}
