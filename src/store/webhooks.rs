use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{
    Error, codec, deliveries,
    entity::{delivery, webhook},
};
use crate::domain::{
    delivery::DeliveryState,
    id::{ApplicationId, WebhookId},
    page::PageRequest,
    time::Timestamp,
    webhook::Webhook,
};

/// Of an application, or of all of them together.
fn of(application: Option<ApplicationId>) -> Condition {
    let column = webhook::Column::ApplicationId;
    Condition::all().add(match application {
        Some(id) => column.eq(id.to_string()),
        None => column.is_null(),
    })
}

pub(super) async fn find(
    db: &impl ConnectionTrait,
    application: Option<ApplicationId>,
    id: WebhookId,
    lock: bool,
) -> Result<Option<Webhook>, Error> {
    let mut query = webhook::Entity::find_by_id(id.to_string()).filter(of(application));
    if lock {
        query = query.lock_exclusive();
    }
    query.all(db).await?.pop().map(codec::webhook).transpose()
}

/// Keeps the row from others to the end of the transaction. Whoever changes deliveries to a webhook,
/// and would wait for one that another has, takes this first.
pub(super) async fn lock(db: &impl ConnectionTrait, id: &str) -> Result<(), Error> {
    let row = webhook::Entity::find_by_id(id).select_only().column(webhook::Column::WebhookId).lock_exclusive();
    row.into_tuple::<String>().all(db).await?;
    Ok(())
}

pub(super) async fn list(
    db: &impl ConnectionTrait,
    application: Option<ApplicationId>,
    page: &PageRequest,
) -> Result<Vec<Webhook>, Error> {
    let mut query = webhook::Entity::find().filter(of(application));
    if let Some(after) = &page.after {
        query = query.filter(webhook::Column::WebhookId.gt(after));
    }
    let rows = query.order_by_asc(webhook::Column::WebhookId).limit(page.size + 1).all(db).await?;
    rows.into_iter().map(codec::webhook).collect()
}

pub(super) async fn count(db: &impl ConnectionTrait, application: Option<ApplicationId>) -> Result<u64, Error> {
    Ok(webhook::Entity::find().filter(of(application)).count(db).await?)
}

/// What is asked of a webhook before something is told: no more of it needs to read.
#[derive(Debug)]
pub(super) struct Hearer {
    pub(super) id: String,
    /// As they are stored. Empty: everything.
    event_types: Vec<String>,
}

impl Hearer {
    /// A type that this version does not know is none that anything has.
    pub(super) fn wants(&self, kind: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|wanted| wanted == kind)
    }

    fn read(row: &QueryResult) -> Result<Self, Error> {
        let (id, types): (String, String) = row.try_get_many_by_index()?;
        let event_types = serde_json::from_str(&types)
            .map_err(|error| Error::Corrupt(format!("event types of webhook {id}: {error}")))?;
        Ok(Self { id, event_types })
    }
}

/// Those that are told of what happens in this application. At most twice as many as one
/// may have. One that does not read hears nothing: it must not keep a key from being revoked.
pub(super) async fn hearing(db: &impl ConnectionTrait, application: &str) -> Result<Vec<Hearer>, Error> {
    use webhook::Column as C;
    let hears = Condition::any().add(C::ApplicationId.eq(application)).add(C::ApplicationId.is_null());
    let query = webhook::Entity::find()
        .select_only()
        .column(C::WebhookId)
        .expr_as(Expr::col(C::EventTypes).cast_as("text"), "types")
        .filter(hears)
        .filter(C::Disabled.eq(""))
        .into_query();
    let mut hearers = Vec::new();
    for row in db.query_all(&query).await? {
        match Hearer::read(&row) {
            Ok(hearer) => hearers.push(hearer),
            Err(error) => tracing::error!(%error, "a webhook does not read, and is not told of what happens"),
        }
    }
    Ok(hearers)
}

/// Writes the row, and holds or lets go of what is on its way there.
pub(super) async fn put(db: &impl ConnectionTrait, before: Option<&Webhook>, webhook: &Webhook) -> Result<(), Error> {
    use webhook::Column as C;
    let row = codec::webhook_row(webhook).into_active_model().reset_all();
    let columns =
        [C::Url, C::EventTypes, C::Description, C::Disabled, C::Secret, C::OldSecret, C::OldSecretUntil, C::UpdateTime];
    let update = OnConflict::column(C::WebhookId).update_columns(columns).update_column(C::Revision).to_owned();
    webhook::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    let Some(before) = before else { return Ok(()) };
    let is_mended = before.disabled.is_some() || before.url != webhook.url;
    match webhook.disabled {
        Some(_) => hold(db, webhook.id).await,
        None if is_mended => let_go(db, webhook.id, webhook.update_time).await,
        None => Ok(()),
    }
}

async fn hold(db: &impl ConnectionTrait, id: WebhookId) -> Result<(), Error> {
    delivery::Entity::update_many()
        .col_expr(delivery::Column::State, Expr::value(codec::state(DeliveryState::Held)))
        .filter(delivery::Column::Destination.eq(id.to_string()))
        .filter(delivery::Column::State.is_in(codec::OPEN))
        .exec(db)
        .await?;
    Ok(())
}

/// From the first attempt on: whoever enabled it, or led it elsewhere, says that it is mended.
async fn let_go(db: &impl ConnectionTrait, id: WebhookId, now: Timestamp) -> Result<(), Error> {
    delivery::Entity::update_many()
        .col_expr(delivery::Column::State, Expr::value(codec::QUEUED))
        .col_expr(delivery::Column::Attempts, Expr::value(0))
        .col_expr(delivery::Column::GiveUpTime, Expr::value(deliveries::give_up_time(now)))
        .col_expr(delivery::Column::NextAttemptTime, Expr::value(0_i64))
        .filter(delivery::Column::Destination.eq(id.to_string()))
        .filter(delivery::Column::State.is_in(codec::OPEN.into_iter().chain([codec::state(DeliveryState::Held)])))
        .exec(db)
        .await?;
    deliveries::line_up(db, &id.to_string()).await?;
    no_longer_failing(db, &id.to_string()).await
}

/// Something arrived, or is believed to from now on.
pub(super) async fn no_longer_failing(db: &impl ConnectionTrait, id: &str) -> Result<(), Error> {
    webhook::Entity::update_many()
        .col_expr(webhook::Column::FailingSince, Expr::value(Option::<i64>::None))
        .filter(webhook::Column::WebhookId.eq(id))
        .filter(webhook::Column::FailingSince.is_not_null())
        .exec(db)
        .await?;
    Ok(())
}

/// And some of what is on its way there: housekeeping does the rest, and none of it is sent.
pub(super) async fn delete(db: &impl ConnectionTrait, id: WebhookId) -> Result<(), Error> {
    deliveries::forget_some_of(db, &id.to_string()).await?;
    webhook::Entity::delete_by_id(id.to_string()).exec(db).await?;
    Ok(())
}
