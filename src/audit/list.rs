use super::AuditLog;
use crate::{
    auth::Caller,
    chain::{Head, Link},
    domain::{
        account::Scope,
        id::Revision,
        page::{Page, PageRequest},
        refusal::Refusal,
    },
    store::AuditFilter,
};

/// Which events are wanted.
#[derive(Debug, Clone)]
pub struct ListAuditEvents {
    pub filter: AuditFilter,
    pub page: PageRequest,
}

/// A page of them, and where the chain ended in the same moment, for those who may see all.
#[derive(Debug)]
pub struct AuditPage {
    pub page: Page<Link>,
    pub head: Option<Head>,
    pub revision: Revision,
}

impl AuditLog {
    /// A page of the events in the caller's scope.
    pub async fn list(&self, caller: &Caller, list: ListAuditEvents) -> Result<AuditPage, Refusal> {
        if let Some(application_id) = list.filter.application_id {
            caller.must_see(application_id)?;
        }
        let scope = caller.scope().clone();
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let ListAuditEvents { filter, page } = list;
                if let Some(application_id) = filter.application_id {
                    snapshot.application(application_id).await?;
                }
                let (links, more) = snapshot.audit_events(&scope, &filter, &page).await?;
                let head = match scope {
                    Scope::All => Some(snapshot.audit_head().await?),
                    Scope::Only(_) => None,
                };
                let page = page.cut(links, more, |link| link.record.seq.to_string());
                Ok(AuditPage { page, head, revision: snapshot.revision() })
            })
            .await
    }
}
