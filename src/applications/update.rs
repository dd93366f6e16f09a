use super::Applications;
use crate::{
    domain::{
        act::Act,
        application::{Application, ApplicationPatch},
        event::Changed,
        id::{ApplicationId, Revision},
        refusal::Refusal,
    },
    replica::Patience,
};

/// New values for some fields of an application.
#[derive(Debug, Clone)]
pub struct UpdateApplication {
    pub application_id: ApplicationId,
    pub patch: ApplicationPatch,
    /// Empty: whatever it is now.
    pub etag: String,
}

impl Applications {
    pub async fn update(
        &self,
        act: Act,
        update: UpdateApplication,
        patience: Patience,
    ) -> Result<(Application, Revision), Refusal> {
        let committed = self
            .store
            .write(act, async move |tx| {
                tx.actor_in(update.application_id)?;
                let before = tx.application(update.application_id).await?;
                before.revision.must_match(&update.etag)?;
                let mut after = before.clone();
                match after.update(update.patch, tx.now())? {
                    Changed::No => Ok((after, false)),
                    Changed::Yes(cause) => {
                        tx.save_application(Some(before), after.clone(), cause);
                        Ok((after, true))
                    }
                }
            })
            .await?;
        self.replica.confirm_change(committed, patience).await
    }
}
