use tonic::{Request, Response, Status};

use super::{convert::audit, unpack};
use crate::{
    audit::AuditLog,
    domain::refusal::Refusal,
    pb::{self, audit_service_server::AuditService},
};

#[derive(Debug)]
pub(super) struct AuditApi {
    pub(super) audit: AuditLog,
}

#[tonic::async_trait]
impl AuditService for AuditApi {
    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Result<Response<pb::ListAuditEventsResponse>, Status> {
        Ok(Response::new(self.list(&request).await?))
    }
}

impl AuditApi {
    async fn list(
        &self,
        request: &Request<pb::ListAuditEventsRequest>,
    ) -> Result<pb::ListAuditEventsResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let list = audit::list(request.get_ref())?;
        Ok(audit::to_page(self.audit.list(caller, list).await?))
    }
}
