//! Any method, by the descriptors: its path, what proves a call of it, and its messages
//! between JSON and bytes.

mod answer;
mod check;
mod kind;
mod request;

use bytes::Bytes;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use tonic::codegen::http::uri::PathAndQuery;

use crate::pb::{self, Credential};

pub use answer::AnswerUnreadable;
pub use request::RequestRefused;

const PACKAGE: &str = "portcullis.v1";

/// Every service this build can call: its own and `grpc.health.v1.Health`.
#[derive(Debug, Clone)]
pub struct Schema {
    pool: DescriptorPool,
}

/// No method goes by this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownMethod {
    #[error("`{0}` is not a method: name it as KeyService/CreateKey or portcullis.v1.KeyService/CreateKey")]
    Form(String),
    #[error("there is no service `{name}`: there are {}", known.join(", "))]
    Service { name: String, known: Vec<String> },
    #[error("{service} has no method `{name}`: it has {}", known.join(", "))]
    Method { service: String, name: String, known: Vec<String> },
}

impl Schema {
    #[must_use]
    pub fn new() -> Self {
        let mut pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("the build checked the descriptors");
        pool.decode_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET).expect("tonic-health tests its own");
        Self { pool }
    }

    /// Finds `KeyService/CreateKey`, `portcullis.v1.KeyService/CreateKey`, or either with
    /// a dot before the method.
    pub fn method(&self, name: &str) -> Result<Method, UnknownMethod> {
        let (service, method) = name
            .strip_prefix('/')
            .unwrap_or(name)
            .rsplit_once(['/', '.'])
            .ok_or_else(|| UnknownMethod::Form(name.to_owned()))?;
        let service = self.service(service)?;
        let found = service.methods().find(|m| m.name() == method);
        found.map(|descriptor| self.known(descriptor)).ok_or_else(|| UnknownMethod::Method {
            service: service.full_name().to_owned(),
            name: method.to_owned(),
            known: service.methods().map(|m| m.name().to_owned()).collect(),
        })
    }

    fn service(&self, name: &str) -> Result<ServiceDescriptor, UnknownMethod> {
        let own = format!("{PACKAGE}.{name}");
        self.pool
            .get_service_by_name(name)
            .or_else(|| self.pool.get_service_by_name(&own))
            .or_else(|| self.pool.services().find(|s| s.name() == name))
            .ok_or_else(|| UnknownMethod::Service {
                name: name.to_owned(),
                known: self.pool.services().map(|s| s.full_name().to_owned()).collect(),
            })
    }

    /// A message of ours by its name (`Key`), as [`Method::answer`] shows it.
    pub fn json(&self, message: &str, bytes: Bytes, pretty: bool) -> Result<String, AnswerUnreadable> {
        let name = format!("{PACKAGE}.{message}");
        let descriptor = self.pool.get_message_by_name(&name).ok_or_else(|| AnswerUnreadable::unknown(name))?;
        answer::json(descriptor, bytes, pretty)
    }

    /// Every method, for sweeps.
    pub fn methods(&self) -> impl Iterator<Item = Method> + '_ {
        self.pool.services().flat_map(|s| s.methods().collect::<Vec<_>>()).map(|m| self.known(m))
    }

    fn known(&self, descriptor: MethodDescriptor) -> Method {
        let credential = self.pool.get_extension_by_name("portcullis.v1.access").and_then(|access| {
            let options = descriptor.options();
            let access = options.get_extension(&access);
            let number = access.as_message()?.get_field_by_name("credential")?.as_enum_number()?;
            Credential::try_from(number).ok().filter(|c| *c != Credential::Unspecified)
        });
        Method { descriptor, credential }
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::new()
    }
}

/// A method that can be called.
#[derive(Debug, Clone)]
pub struct Method {
    descriptor: MethodDescriptor,
    credential: Option<Credential>,
}

impl Method {
    /// `/package.Service/Method`, as it is sent and signed.
    #[must_use]
    pub fn path(&self) -> PathAndQuery {
        let path = format!("/{}/{}", self.descriptor.parent_service().full_name(), self.descriptor.name());
        path.try_into().expect("names in descriptors are identifiers")
    }

    /// What proves a call, from the method's `access` option. None: the method is open.
    #[must_use]
    pub fn credential(&self) -> Option<Credential> {
        self.credential
    }

    #[must_use]
    pub fn streams_answers(&self) -> bool {
        self.descriptor.is_server_streaming()
    }

    #[must_use]
    pub fn streams_requests(&self) -> bool {
        self.descriptor.is_client_streaming()
    }

    /// Whether a repeat of its request is known to be one.
    #[must_use]
    pub fn takes_request_id(&self) -> bool {
        self.descriptor.input().get_field_by_name("request_id").is_some()
    }

    /// The type of its request message.
    #[must_use]
    pub fn input(&self) -> MessageDescriptor {
        self.descriptor.input()
    }

    /// The bytes of the request that `json` describes, by protobuf's JSON mapping with
    /// either spelling of a field's name. Equal to what prost, and grpcurl from the same
    /// JSON, encode. Unknown and repeated names are refused.
    pub fn request(&self, json: &str) -> Result<Bytes, RequestRefused> {
        request::encode(&self.descriptor.input(), json)
    }

    /// An answer as JSON: protobuf's mapping, with the names of the proto files.
    pub fn answer(&self, bytes: Bytes, pretty: bool) -> Result<String, AnswerUnreadable> {
        answer::json(self.descriptor.output(), bytes, pretty)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_method_goes_by_each_of_its_names() {
        let schema = Schema::new();
        for name in [
            "KeyService/CreateKey",
            "portcullis.v1.KeyService/CreateKey",
            "/portcullis.v1.KeyService/CreateKey",
            "portcullis.v1.KeyService.CreateKey",
        ] {
            let method = schema.method(name).expect(name);
            assert_eq!(method.path().as_str(), "/portcullis.v1.KeyService/CreateKey");
            assert_eq!(method.credential(), Some(Credential::SignedRequest));
        }
        assert!(schema.method("KeyService/WatchRevocations").expect("watch").streams_answers());
        assert_eq!(schema.method("grpc.health.v1.Health/Check").expect("health").credential(), None);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let schema = Schema::new();
        let refused = |name| schema.method(name).expect_err(name).to_string();
        assert!(refused("KeyService/Create").contains("it has CreateKey, ImportKeys"));
        assert!(refused("Keys/CreateKey").contains("portcullis.v1.KeyService"));
        assert!(refused("CreateKey").contains("name it as KeyService/CreateKey"));
    }

    #[test]
    fn only_the_methods_of_others_are_open() {
        for method in Schema::new().methods() {
            assert_eq!(method.credential().is_some(), method.path().as_str().starts_with("/portcullis.v1."));
        }
    }

    #[test]
    fn an_answer_is_json_with_the_names_of_the_protos() {
        let method = Schema::new().method("KeyService/CreateKey").expect("method");
        let answer = pb::CreateKeyResponse { key: None, secret: "s".to_owned(), revision: 1 << 60 };
        let bytes = Bytes::from(answer.encode_to_vec());
        assert_eq!(
            method.answer(bytes.clone(), false).expect("json"),
            r#"{"secret":"s","revision":"1152921504606846976"}"#
        );
        assert!(method.answer(bytes, true).expect("json").contains("\n  \"secret\""));
        assert!(method.answer(Bytes::from_static(b"\x0a\xff"), false).is_err());
    }
}
