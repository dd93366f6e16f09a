use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{id, key_id};
use crate::{
    domain::{
        id::ApplicationId,
        key::Key,
        time::Timestamp,
        usage::{KeyUsage, Series, UsageRange, UsageUnit, UsedKey, Whose},
        verdict::Verdict,
    },
    store::{
        Error, codec,
        entity::{api_key, last_use, usage_count},
    },
};

/// Keys of one application with their usage as of `now`: two statements, however many.
pub(in crate::store) async fn used(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    keys: Vec<Key>,
    now: Timestamp,
) -> Result<Vec<UsedKey>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let mut usages = counted(db, application, &ids, now).await?;
    for row in last_use::Entity::find().filter(last_use::Column::Id.is_in(ids)).all(db).await? {
        usages.entry(row.id).or_default().last_used_time = Some(Timestamp::from_micros(row.last_used_time));
    }
    let with_usage = |key: Key| UsedKey { usage: usages.remove(&key.id.to_string()).unwrap_or_default(), key };
    Ok(keys.into_iter().map(with_usage).collect())
}

/// This day and month.
async fn counted(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    keys: &[String],
    now: Timestamp,
) -> Result<HashMap<String, KeyUsage>, Error> {
    use usage_count::Column as C;
    let [day, month] = [UsageUnit::Day, UsageUnit::Month].map(|unit| (codec::unit(unit), unit.start(now).micros()));
    let rows = usage_count::Entity::find()
        .filter(C::ApplicationId.eq(application.to_string()))
        .filter(C::KeyId.is_in(keys))
        // Each column by itself, so that the primary key finds the rows.
        .filter(C::Unit.is_in([day.0, month.0]))
        .filter(C::Start.is_in([day.1, month.1]))
        .all(db)
        .await?;
    let mut usages: HashMap<String, KeyUsage> = HashMap::new();
    for row in rows {
        // A verdict that only a newer version knows refuses, whatever it is.
        let (count, verdict) = (count(row.requests)?, codec::read_verdict(&row.verdict).ok());
        let usage = usages.entry(row.key_id).or_default();
        let add = |to: &mut u64| *to = to.saturating_add(count);
        if (row.unit.as_str(), row.start) == month {
            add(&mut usage.requests_this_month);
        } else if (row.unit.as_str(), row.start) == day {
            add(&mut usage.requests_today);
            if verdict != Some(Verdict::Valid) {
                add(&mut usage.denied_today);
            }
        }
    }
    Ok(usages)
}

pub(in crate::store) async fn series(
    db: &impl ConnectionTrait,
    whose: Whose,
    range: &UsageRange,
) -> Result<Series, Error> {
    use usage_count::Column as C;
    let rows = usage_count::Entity::find()
        .filter(C::ApplicationId.eq(whose.application_id.to_string()))
        .filter(C::KeyId.eq(key_id(whose)))
        .filter(C::Unit.eq(codec::unit(range.unit)))
        .filter(C::Start.gte(range.start.micros()))
        .filter(C::Start.lt(range.end.micros()))
        .order_by_asc(C::Start)
        .all(db)
        .await?;
    let mut series = Series::default();
    for row in rows {
        series.add(Timestamp::from_micros(row.start), codec::read_verdict(&row.verdict)?, count(row.requests)?);
    }
    Ok(series)
}

pub(in crate::store) async fn last_use(db: &impl ConnectionTrait, whose: Whose) -> Result<Option<Timestamp>, Error> {
    let row = last_use::Entity::find_by_id(id(whose)).all(db).await?.pop();
    Ok(row.map(|row| Timestamp::from_micros(row.last_used_time)))
}

/// Of a key: whether it was used after `since`.
pub(in crate::store) fn used_after(since: Timestamp) -> Expr {
    let later = last_use::Entity::find()
        .filter(
            Expr::col((last_use::Entity, last_use::Column::Id))
                .eq(Expr::col((api_key::Entity, api_key::Column::KeyId))),
        )
        .filter(last_use::Column::LastUsedTime.gt(since.micros()));
    Expr::exists(later.into_query())
}

fn count(requests: i64) -> Result<u64, Error> {
    u64::try_from(requests).map_err(|_| Error::Corrupt(format!("{requests} requests")))
}
