//! What a refused call must leave behind: nothing.

use portcullis::pb;
use prost::Message;
use tonic::Code;

use super::{Persona, Server, refusal, violations};

impl Server {
    /// The number of the last mutation.
    pub(crate) async fn revision(&self) -> i64 {
        let list = pb::ListApplicationsRequest::default();
        let listed: pb::ListApplicationsResponse =
            self.by_token(&self.admin, "ApplicationService/ListApplications", &list).await.expect("list");
        listed.revision
    }

    /// The call is refused with this reason, and nothing is written.
    pub(crate) async fn refuses(&self, by: &Persona, method: &str, request: &impl Message, code: Code, reason: &str) {
        let before = self.revision().await;
        let answer = self.signed::<_, ()>(by, method, request).await;
        assert_eq!(refusal(answer), (code, reason.to_owned()), "{method}");
        assert_eq!(self.revision().await, before, "{method}: nothing is written");
    }

    /// The call is refused because of exactly these fields, and nothing is written.
    pub(crate) async fn refuses_fields(&self, method: &str, request: &impl Message, fields: &[&str]) {
        let before = self.revision().await;
        let status = self.signed::<_, ()>(&self.admin, method, request).await.expect_err("the call must be refused");
        let mut found = violations(&status);
        found.sort();
        assert_eq!(found, fields, "{method}: {status:?}");
        assert_eq!(refusal::<()>(Err(status)), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
        assert_eq!(self.revision().await, before, "{method}: nothing is written");
    }
}

pub(crate) fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
}
