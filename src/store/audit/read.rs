use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
    sea_query::{Expr, ExprTrait as _, Func, SimpleExpr},
};

use super::{DONE, head as chain_head};
use crate::{
    chain::{Head, Link, Record},
    domain::{
        account::Scope,
        id::{ApplicationId, ServiceAccountId},
        page::PageRequest,
        refusal::Refusal,
        time::Timestamp,
    },
    store::{
        Error,
        entity::audit_event::{self, Column as C},
        log,
    },
};

/// Which events are wanted.
#[derive(Debug, Clone)]
pub struct AuditFilter {
    pub application_id: Option<ApplicationId>,
    pub resource: Option<String>,
    pub service_account_id: Option<ServiceAccountId>,
    /// In full.
    pub method: Option<String>,
    pub outcome: Option<String>,
    pub refused_only: bool,
    /// From this moment on.
    pub start: Option<Timestamp>,
    /// Before this moment.
    pub end: Option<Timestamp>,
    /// Behind this place.
    pub after_seq: i64,
    pub order: Order,
}

/// In which order of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

/// How many rows are read at once: a page may hold a thousand, and each may be large.
const CHUNK: u64 = 100;
/// Where a page ends, however few its events are: gRPC clients take messages of 4 MiB.
const PAGE_BYTES: usize = 3 * 1024 * 1024;

/// Those of the applications in `scope`, and whether there are more. An event that is of no
/// application, or of several, is seen by those only who see all of them.
pub(in crate::store) async fn list(
    db: &impl ConnectionTrait,
    scope: &Scope,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<(Vec<Link>, bool), Refusal> {
    let mut after = match &page.after {
        Some(after) => Some(after.parse().map_err(|_| Refusal::PageTokenInvalid)?),
        None => None,
    };
    let query = select(scope, filter);
    let (mut links, mut bytes) = (Vec::new(), 0);
    loop {
        let size = Ord::min(CHUNK, page.size + 1 - links.len() as u64);
        let rows = behind(query.clone(), filter.order, after).limit(size).all(db).await.map_err(Error::from)?;
        let is_last = (rows.len() as u64) < size;
        for row in rows {
            let link = link(row)?;
            bytes += size_of(&link);
            let is_full = links.len() as u64 == page.size || (!links.is_empty() && bytes > PAGE_BYTES);
            if is_full {
                return Ok((links, true));
            }
            after = Some(link.record.seq);
            links.push(link);
        }
        if is_last {
            return Ok((links, false));
        }
    }
}

fn select(scope: &Scope, filter: &AuditFilter) -> Select<audit_event::Entity> {
    let mut query = audit_event::Entity::find().filter(C::Seq.gt(filter.after_seq));
    if let Scope::Only(ids) = scope {
        query = query.filter(in_one_of(ids));
    }
    let ids = [
        (C::ApplicationId, filter.application_id.map(|id| id.to_string())),
        (C::Resource, filter.resource.clone()),
        (C::ServiceAccountId, filter.service_account_id.map(|id| id.to_string())),
        (C::Method, filter.method.clone()),
        (C::Outcome, filter.outcome.clone()),
    ];
    for (column, wanted) in ids {
        if let Some(wanted) = wanted {
            query = query.filter(column.eq(wanted));
        }
    }
    if filter.refused_only {
        query = query.filter(C::Outcome.ne(DONE));
    }
    if let Some(start) = filter.start {
        query = query.filter(C::Time.gte(start.micros()));
    }
    if let Some(end) = filter.end {
        query = query.filter(C::Time.lt(end.micros()));
    }
    query
}

/// One application is looked up by its index. Of several, an index would bring all events, to
/// be sorted for each page: those are picked out along the chain, behind an expression that no
/// index is over.
fn in_one_of(ids: &BTreeSet<ApplicationId>) -> SimpleExpr {
    let texts = ids.iter().map(ToString::to_string);
    if ids.len() == 1 {
        C::ApplicationId.is_in(texts)
    } else {
        let id: SimpleExpr = Func::coalesce([Expr::col(C::ApplicationId), Expr::value("")]).into();
        id.is_in(texts)
    }
}

fn behind(query: Select<audit_event::Entity>, order: Order, after: Option<i64>) -> Select<audit_event::Entity> {
    match (order, after) {
        (Order::NewestFirst, None) => query.order_by_desc(C::Seq),
        (Order::NewestFirst, Some(after)) => query.filter(C::Seq.lt(after)).order_by_desc(C::Seq),
        (Order::OldestFirst, None) => query.order_by_asc(C::Seq),
        (Order::OldestFirst, Some(after)) => query.filter(C::Seq.gt(after)).order_by_asc(C::Seq),
    }
}

/// The end of the chain in this moment.
pub(in crate::store) async fn head(db: &impl ConnectionTrait) -> Result<Head, Error> {
    let (log_id, _) = log::head(db).await?;
    let (seq, hash) = chain_head::read(db).await?;
    // Below 1 is no place either: no list would show it.
    let loose = Condition::any().add(C::Seq.is_null()).add(C::Seq.lt(1));
    let loose = audit_event::Entity::find().filter(loose).count(db).await?;
    Ok(Head { log_id: log_id.to_string(), seq, hash, loose: i64::try_from(loose).unwrap_or(i64::MAX) })
}

fn link(mut row: audit_event::Model) -> Result<Link, Error> {
    // A hash that is gone is as wrong as another: whoever verifies finds it.
    let (previous, hash) = (row.previous_hash.take().unwrap_or_default(), row.hash.take().unwrap_or_default());
    Ok(Link { record: record(row)?, previous, hash })
}

pub(super) fn record(row: audit_event::Model) -> Result<Record, Error> {
    let seq = row.seq.ok_or_else(|| Error::Corrupt(format!("no place of the event {}", row.audit_id)))?;
    Ok(Record {
        seq,
        audit_id: row.audit_id,
        time: row.time,
        revision: row.revision,
        service_account_id: row.service_account_id,
        kid: row.kid,
        method: row.method,
        request_id: row.request_id,
        peer: row.peer,
        outcome: row.outcome,
        application_id: row.application_id,
        resource: row.resource,
        before: row.before,
        after: row.after,
    })
}

/// About what it takes on the wire.
fn size_of(link: &Link) -> usize {
    const FIXED: usize = 160;
    let record = &link.record;
    let maybe = [
        &record.service_account_id,
        &record.kid,
        &record.application_id,
        &record.resource,
        &record.before,
        &record.after,
    ];
    let texts = [&record.method, &record.request_id, &record.peer, &record.outcome];
    let maybe = maybe.into_iter().flatten().map(String::len).sum::<usize>();
    FIXED + maybe + texts.into_iter().map(String::len).sum::<usize>() + link.previous.len() + link.hash.len()
}
