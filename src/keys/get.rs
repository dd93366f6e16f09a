use super::Keys;
use crate::{
    auth::Caller,
    domain::{
        id::{ApplicationId, KeyId, Revision},
        refusal::Refusal,
        usage::UsedKey,
    },
};

impl Keys {
    /// One key of an application.
    pub async fn get(
        &self,
        caller: &Caller,
        application: ApplicationId,
        key: KeyId,
    ) -> Result<(UsedKey, Revision), Refusal> {
        caller.must_see(application)?;
        let now = self.replica.now();
        self.store
            .read(self.index.applied(), async move |snapshot| {
                let key = snapshot.key(application, key).await?;
                let used = snapshot.used(application, vec![key], now).await?.pop().ok_or(Refusal::Internal)?;
                Ok((used, snapshot.revision()))
            })
            .await
    }
}
