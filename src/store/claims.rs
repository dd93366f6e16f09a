use std::time::Duration;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use uuid::Uuid;

use super::{Error, Store, entity::job_claim};
use crate::domain::time::Timestamp;

/// No claim lasts longer: one that seems to was made before the clock was set back, by somebody
/// who may be long dead.
const LONGEST: Duration = Duration::from_mins(1);

impl Store {
    /// Claims a job for `holder`, for so long from now, a minute at most: `false` while another has it. A holder
    /// claims anew before each round, and so keeps it.
    pub async fn claim_job(&self, job: &'static str, holder: Uuid, lasts: Duration) -> Result<bool, Error> {
        use job_claim::Column as C;
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_upkeep().await?;
            let now = store.time(&tx).await?;
            let until = now.checked_add(lasts).unwrap_or(now).micros();
            let row = job_claim::Model { job: job.to_owned(), holder, until_time: until };
            let known = |column| Expr::col((job_claim::Entity, column));
            let nonsense = now.checked_add(LONGEST).unwrap_or(Timestamp::MAX).micros();
            let is_over = known(C::UntilTime).lte(now.micros()).or(known(C::UntilTime).gt(nonsense));
            let is_free = known(C::Holder).eq(holder).or(is_over);
            let take = OnConflict::column(C::Job)
                .update_columns([C::Holder, C::UntilTime])
                .action_and_where(is_free)
                .to_owned();
            let row = row.into_active_model().reset_all();
            let rows = job_claim::Entity::insert(row).on_conflict(take).exec_without_returning(&tx).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(rows == 1)
        })
        .await
    }

    /// Lets go of every job that `holder` has, so that another need not wait.
    pub async fn release_jobs(&self, holder: Uuid) -> Result<(), Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_upkeep().await?;
            job_claim::Entity::delete_many().filter(job_claim::Column::Holder.eq(holder)).exec(&tx).await?;
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }
}
