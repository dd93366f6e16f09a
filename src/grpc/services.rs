use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Request, Response};
use tonic::{body::Body, server::NamedService, service::Routes};
use tower::Service;

use super::key_service::KeyApi;
use crate::pb::key_service_server::KeyServiceServer;

type Keys = KeyServiceServer<KeyApi>;

/// Which service answers. The hot one is known by its path: the router of all others takes
/// the path apart, keeps its parts, and boxes what goes in and what comes out.
#[derive(Debug, Clone)]
pub(super) struct Services {
    pub(super) keys: Keys,
    pub(super) others: Routes,
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<<Keys as Service<Request<Body>>>::Future, <Routes as Service<Request<Body>>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        std::task::ready!(Service::<Request<Body>>::poll_ready(&mut self.keys, context))?;
        Service::<Request<Body>>::poll_ready(&mut self.others, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if is_of_keys(request.uri().path()) {
            Either::Left(self.keys.call(request))
        } else {
            Either::Right(self.others.call(request))
        }
    }
}

/// `/portcullis.v1.KeyService/` and whatever method.
fn is_of_keys(path: &str) -> bool {
    path.strip_prefix('/').and_then(|path| path.strip_prefix(Keys::NAME)).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hot_service_is_known_by_its_whole_name() {
        assert!(is_of_keys("/portcullis.v1.KeyService/VerifyKey"));
        assert!(is_of_keys("/portcullis.v1.KeyService/NoMethod"));
        for other in [
            "",
            "/",
            "/portcullis.v1.KeyService",
            "/portcullis.v1.KeyServices/VerifyKey",
            "//portcullis.v1.KeyService/VerifyKey",
            "/portcullis.v1.ApplicationService/GetApplication",
        ] {
            assert!(!is_of_keys(other), "{other}");
        }
    }
}
