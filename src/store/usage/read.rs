use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Select,
    sea_query::{Expr, ExprTrait as _, SelectStatement},
};

use super::{id, key_id};
use crate::{
    domain::{
        id::{ApplicationId, KeyId},
        key::Key,
        time::Timestamp,
        usage::{ChainUsage, KeyUsage, Series, UsageRange, UsageUnit, UsedKey, Whose},
        verdict::Verdict,
    },
    store::{
        Error, codec,
        entity::{api_key, last_use, usage_count},
    },
};

/// Keys of one application with their usage as of `now`: two statements, however many keys their
/// chains have.
pub(in crate::store) async fn used(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    keys: Vec<Key>,
    now: Timestamp,
) -> Result<Vec<UsedKey>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let chains: HashSet<KeyId> = keys.iter().map(|key| key.lineage.chain).collect();
    let counted = counted(db, application, chains, now).await?;
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let mut last_uses = HashMap::new();
    for row in last_use::Entity::find().filter(last_use::Column::Id.is_in(ids)).all(db).await? {
        last_uses.insert(row.id, Timestamp::from_micros(row.last_used_time));
    }
    let with_usage = |key: Key| {
        let of_chain = counted.get(&key.lineage.chain.to_string()).copied().unwrap_or_default();
        let last_used_time = last_uses.get(&key.id.to_string()).copied();
        UsedKey { usage: KeyUsage { last_used_time, ..of_chain }, key }
    };
    Ok(keys.into_iter().map(with_usage).collect())
}

/// A count of a key, and whose chain it is in.
#[derive(Debug, FromQueryResult)]
struct OfChain {
    chain: String,
    unit: String,
    start: i64,
    verdict: String,
    requests: i64,
}

/// Of this day and month, the counts of all keys of these chains. Each column of the primary key
/// by itself, so that it finds the rows; a join alone would look through those of the application.
pub(super) fn counts(
    application: ApplicationId,
    chains: HashSet<KeyId>,
    starts: [(UsageUnit, i64); 2],
) -> Select<usage_count::Entity> {
    use usage_count::Column as C;
    let of_key = usage_count::Entity::belongs_to(api_key::Entity).from(C::KeyId).to(api_key::Column::KeyId).into();
    usage_count::Entity::find()
        .join(JoinType::InnerJoin, of_key)
        .filter(C::ApplicationId.eq(application.to_string()))
        .filter(C::KeyId.in_subquery(keys_of(chains)))
        .filter(C::Unit.is_in(starts.map(|(unit, _)| codec::unit(unit))))
        .filter(C::Start.is_in(starts.map(|(_, start)| start)))
        .select_only()
        .column(api_key::Column::Chain)
        .columns([C::Unit, C::Start, C::Verdict, C::Requests])
}

/// This day and month, by chain.
async fn counted(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    chains: HashSet<KeyId>,
    now: Timestamp,
) -> Result<HashMap<String, KeyUsage>, Error> {
    let starts = [UsageUnit::Day, UsageUnit::Month].map(|unit| (unit, unit.start(now).micros()));
    let [day, month] = starts.map(|(unit, start)| (codec::unit(unit), start));
    let rows = counts(application, chains, starts).into_model::<OfChain>().all(db).await?;
    let mut usages: HashMap<String, KeyUsage> = HashMap::new();
    for row in rows {
        // A verdict that only a newer version knows refuses, whatever it is.
        let (count, verdict) = (count(row.requests)?, codec::read_verdict(&row.verdict).ok());
        let usage = usages.entry(row.chain).or_default();
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

/// Of all keys of a chain, together and each: two statements, however many there are.
pub(in crate::store) async fn chain(
    db: &impl ConnectionTrait,
    application: ApplicationId,
    chain: KeyId,
    range: &UsageRange,
) -> Result<ChainUsage, Error> {
    let mut usage = ChainUsage::default();
    for row in chain_counts(application, chain, range).all(db).await? {
        let (key, start) = (codec::key_id(&row.key_id)?, Timestamp::from_micros(row.start));
        usage.add(key, start, codec::read_verdict(&row.verdict)?, count(row.requests)?);
    }
    for row in last_use::Entity::find().filter(last_use::Column::Id.in_subquery(keys_of([chain]))).all(db).await? {
        usage.used(codec::key_id(&row.id)?, Timestamp::from_micros(row.last_used_time));
    }
    Ok(usage)
}

pub(super) fn chain_counts(
    application: ApplicationId,
    chain: KeyId,
    range: &UsageRange,
) -> Select<usage_count::Entity> {
    use usage_count::Column as C;
    usage_count::Entity::find()
        .filter(C::ApplicationId.eq(application.to_string()))
        .filter(C::KeyId.in_subquery(keys_of([chain])))
        .filter(C::Unit.eq(codec::unit(range.unit)))
        .filter(C::Start.gte(range.start.micros()))
        .filter(C::Start.lt(range.end.micros()))
}

fn keys_of(chains: impl IntoIterator<Item = KeyId>) -> SelectStatement {
    let chains = chains.into_iter().map(|chain| chain.to_string());
    let keys = api_key::Entity::find().filter(api_key::Column::Chain.is_in(chains));
    keys.select_only().column(api_key::Column::KeyId).into_query()
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
