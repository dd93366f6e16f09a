use super::Keys;
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, KeyId, Revision},
        key::Key,
        refusal::Refusal,
    },
};

impl Keys {
    /// One key of an application.
    pub async fn get(
        &self,
        caller: &Caller,
        application: ApplicationId,
        key: KeyId,
    ) -> Result<(Key, Revision), Refusal> {
        caller.must_see(application)?;
        self.store
            .read(self.index.applied(), async move |snapshot| {
                Ok((snapshot.key(application, key).await?, snapshot.revision()))
            })
            .await
    }
}
