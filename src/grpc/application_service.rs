use tonic::{Request, Response, Status};

use super::{
    convert::{application, common},
    unpack,
};
use crate::{
    applications::{Applications, ListApplications},
    domain::{page::PageRequest, refusal::Refusal},
    pb::{self, application_service_server::ApplicationService},
};

#[derive(Debug)]
pub(super) struct ApplicationApi {
    pub(super) applications: Applications,
}

#[tonic::async_trait]
impl ApplicationService for ApplicationApi {
    async fn create_application(
        &self,
        request: Request<pb::CreateApplicationRequest>,
    ) -> Result<Response<pb::CreateApplicationResponse>, Status> {
        Ok(Response::new(self.create(&request).await?))
    }

    async fn get_application(
        &self,
        request: Request<pb::GetApplicationRequest>,
    ) -> Result<Response<pb::GetApplicationResponse>, Status> {
        Ok(Response::new(self.get(&request).await?))
    }

    async fn list_applications(
        &self,
        request: Request<pb::ListApplicationsRequest>,
    ) -> Result<Response<pb::ListApplicationsResponse>, Status> {
        Ok(Response::new(self.list(&request).await?))
    }

    async fn update_application(
        &self,
        request: Request<pb::UpdateApplicationRequest>,
    ) -> Result<Response<pb::UpdateApplicationResponse>, Status> {
        Ok(Response::new(self.update(request).await?))
    }
}

impl ApplicationApi {
    async fn create(
        &self,
        request: &Request<pb::CreateApplicationRequest>,
    ) -> Result<pb::CreateApplicationResponse, Refusal> {
        let (act, patience) = (unpack::act(request)?, unpack::patience(request, 0)?);
        let new = application::new_application(request.get_ref())?;
        let (made, revision) = self.applications.create(act, new, patience).await?;
        let application = Some(application::to_application(&made));
        Ok(pb::CreateApplicationResponse { application, revision: revision.number() })
    }

    async fn get(&self, request: &Request<pb::GetApplicationRequest>) -> Result<pb::GetApplicationResponse, Refusal> {
        let caller = unpack::caller(request)?;
        let id = common::parse_one(&request.get_ref().application_id, "application_id")?;
        let (found, revision) = self.applications.get(caller, id).await?;
        let application = Some(application::to_application(&found));
        Ok(pb::GetApplicationResponse { application, revision: revision.number() })
    }

    async fn list(
        &self,
        request: &Request<pb::ListApplicationsRequest>,
    ) -> Result<pb::ListApplicationsResponse, Refusal> {
        let (caller, list) = (unpack::caller(request)?, request.get_ref());
        let page = PageRequest::parse(list.page_size, &list.page_token, &["applications", &list.name_prefix]);
        let (name_prefix, page) = unpack::both(common::name_prefix(&list.name_prefix), page)?;
        let (page, revision) = self.applications.list(caller, ListApplications { name_prefix, page }).await?;
        Ok(pb::ListApplicationsResponse {
            applications: page.items.iter().map(application::to_application).collect(),
            next_page_token: page.next_page_token,
            revision: revision.number(),
        })
    }

    async fn update(
        &self,
        request: Request<pb::UpdateApplicationRequest>,
    ) -> Result<pb::UpdateApplicationResponse, Refusal> {
        let (act, patience) = (unpack::act(&request)?, unpack::patience(&request, 0)?);
        let update = application::update(request.into_inner())?;
        let (updated, revision) = self.applications.update(act, update, patience).await?;
        let application = Some(application::to_application(&updated));
        Ok(pb::UpdateApplicationResponse { application, revision: revision.number() })
    }
}
