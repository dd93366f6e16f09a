use super::Applications;
use crate::{
    auth::Caller,
    domain::{
        application::Application,
        id::{ApplicationId, Revision},
        refusal::Refusal,
    },
};

impl Applications {
    pub async fn get(&self, caller: &Caller, id: ApplicationId) -> Result<(Application, Revision), Refusal> {
        caller.must_see(id)?;
        self.store
            .read(self.index.applied(), async move |snapshot| {
                Ok((snapshot.application(id).await?, snapshot.revision()))
            })
            .await
    }
}
