use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{
    Error, Store,
    entity::{budget, replica},
};
use crate::{
    domain::{
        id::KeyId,
        span::{Span, TimeWindow},
        time::Timestamp,
    },
    guard::{self, Guard},
};

/// What a spender needs of one budget: of each of its spans, or of none.
#[derive(Debug, Clone)]
pub struct Ask {
    pub budget: KeyId,
    pub spans: Vec<AskSpan>,
}

#[derive(Debug, Clone, Copy)]
pub struct AskSpan {
    pub span: Span,
    pub limit: u64,
    /// What must be had, or nothing at all is granted; 0: only tell how it stands.
    pub short: u64,
    /// What would be good to have.
    pub wish: u64,
}

/// How a span stands after an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub window: TimeWindow,
    /// To whomever, in this window, this chunk included.
    pub granted: u64,
    /// To whoever asked, now.
    pub chunk: u64,
}

/// The answers, in the order of the asks and their spans.
#[derive(Debug)]
pub struct HandedOut {
    /// The database's time behind the locks.
    pub time: Timestamp,
    /// When it was asked for, on the clock since boot.
    pub time_at: Duration,
    pub grants: Vec<Vec<Grant>>,
}

/// What a spender did not spend.
#[derive(Debug, Clone, Copy)]
pub struct Unspent {
    pub budget: KeyId,
    pub span: Span,
    pub window_start: Timestamp,
    pub amount: u64,
}

type Rows = BTreeMap<(String, String), budget::Model>;

impl Store {
    /// Hands out chunks of budgets, in one durable transaction. Of a span never more is
    /// granted than its limit, over all spenders; a budget whose ask cannot be met in every
    /// span grants nothing. A chunk may be spent once this has returned, and only within its
    /// window. If the commit is unknown, so is the grant: it is lost, never spent.
    pub async fn hand_out(&self, asks: Vec<Ask>) -> Result<HandedOut, Error> {
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_ledger().await?;
            store.inner.hand_outs.fetch_add(1, Ordering::SeqCst);
            let mut rows = lock_rows(&tx, &asks).await?;
            // Behind the locks: a time from before them may be of a window that is over.
            let (time_at, time) = store.time_and_at(&tx).await?;
            let members = replica::Entity::find().count(&tx).await?;
            let mut changed = BTreeMap::new();
            let grants = asks.iter().map(|ask| grant(ask, &mut rows, &mut changed, time, members)).collect();
            save(&tx, changed).await?;
            tx.commit().await.map_err(Error::CommitUnknown)?;
            Ok(HandedOut { time, time_at, grants })
        })
        .await
    }

    /// Takes back what a spender that stops has not spent; to be sent once, after it was
    /// dropped there, since a repeat would hand it out twice. What is of a window that is
    /// over stays.
    pub async fn give_back(&self, mut unspent: Vec<Unspent>) -> Result<(), Error> {
        // In the order in which all spenders lock rows.
        unspent.sort_by_cached_key(|unspent| (unspent.budget.to_string(), unspent.span.to_string()));
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_ledger().await?;
            for Unspent { budget, span, window_start, amount } in unspent {
                budget::Entity::update_many()
                    .col_expr(budget::Column::Granted, Expr::col(budget::Column::Granted).sub(to_i64(amount)))
                    .filter(budget::Column::Budget.eq(budget.to_string()))
                    .filter(budget::Column::Span.eq(span.to_string()))
                    .filter(budget::Column::WindowStart.eq(window_start.micros()))
                    .filter(budget::Column::Granted.gte(to_i64(amount)))
                    .exec(&tx)
                    .await?;
            }
            tx.commit().await.map_err(Error::CommitUnknown)
        })
        .await
    }

    /// Forgets budgets whose window has been over since before `before`.
    pub async fn forget_budgets(&self, before: Timestamp) -> Result<u64, Error> {
        self.forget::<budget::Entity>(
            budget::Column::WindowEnd,
            Condition::all().add(budget::Column::WindowEnd.lt(before.micros())),
        )
        .await
    }

    /// How often chunks were handed out: the only statements that a VerifyKey waits for.
    #[must_use]
    pub fn hand_outs(&self) -> u64 {
        self.inner.hand_outs.load(Ordering::SeqCst)
    }
}

/// The rows that are asked about, each locked to the end of the transaction and in one
/// order, so that two spenders never wait for each other.
async fn lock_rows(db: &impl ConnectionTrait, asks: &[Ask]) -> Result<Rows, Error> {
    let names =
        asks.iter().flat_map(|ask| ask.spans.iter().map(|span| (ask.budget.to_string(), span.span.to_string())));
    let mut rows = Rows::new();
    for (budget, span) in names {
        let empty =
            budget::Model { budget: budget.clone(), span: span.clone(), window_start: 0, window_end: 0, granted: 0 };
        rows.insert((budget, span), empty);
    }
    if rows.is_empty() {
        return Ok(rows);
    }
    let empty = rows.values().map(|row| row.clone().into_active_model().reset_all());
    let key = [budget::Column::Budget, budget::Column::Span];
    // An update that changes nothing, and not nothing: it locks the row that is there.
    let there = OnConflict::columns(key).update_column(budget::Column::Budget).to_owned();
    budget::Entity::insert_many(empty).on_conflict(there).exec_without_returning(db).await?;
    // Of the same budgets another may have other spans: those stay unlocked.
    let budgets: Vec<&String> = rows.keys().map(|(budget, _)| budget).collect();
    let found = budget::Entity::find().filter(budget::Column::Budget.is_in(budgets));
    for row in found.all(db).await? {
        if let Some(known) = rows.get_mut(&(row.budget.clone(), row.span.clone())) {
            *known = row;
        }
    }
    Ok(rows)
}

/// Decides about one budget, and notes the rows that change.
fn grant(ask: &Ask, rows: &mut Rows, changed: &mut Rows, time: Timestamp, members: u64) -> Vec<Grant> {
    let name = |span: &AskSpan| (ask.budget.to_string(), span.span.to_string());
    let stand: Vec<Grant> = ask.spans.iter().map(|span| standing(rows.get(&name(span)), span.span, time)).collect();
    let rest = |span: &AskSpan, now: &Grant| span.limit.saturating_sub(now.granted);
    let met = ask.spans.iter().zip(&stand).all(|(span, now)| span.short <= rest(span, now));
    let granted = ask.spans.iter().zip(stand).map(|(span, now)| {
        let chunk = if met { chunk(span, rest(span, &now), members) } else { 0 };
        let after = Grant { granted: now.granted + chunk, chunk, ..now };
        if chunk > 0
            && let Some(row) = rows.get_mut(&name(span))
        {
            row.window_start = after.window.start.micros();
            row.window_end = after.window.end.micros();
            row.granted = to_i64(after.granted);
            changed.insert(name(span), row.clone());
        }
        after
    });
    granted.collect()
}

/// How a row stands in the window of `time`. A window that began later than that stays: the
/// database's clock was ahead, and what it granted then was granted.
fn standing(row: Option<&budget::Model>, span: Span, time: Timestamp) -> Grant {
    let window = span.window_at(time);
    match row.filter(|row| row.window_start >= window.start.micros() && row.window_end > 0) {
        Some(row) => {
            let (start, end) = (Timestamp::from_micros(row.window_start), Timestamp::from_micros(row.window_end));
            let granted = if guard::on(Guard::Budget) { u64::try_from(row.granted).unwrap_or(0) } else { 0 };
            Grant { window: TimeWindow { start, end }, granted, chunk: 0 }
        }
        None => Grant { window, granted: 0, chunk: 0 },
    }
}

/// What is short at least; beyond it what is wished for, as long as the others find
/// something too.
fn chunk(span: &AskSpan, rest: u64, members: u64) -> u64 {
    let fair = rest / (2 * Ord::max(members, 1));
    let wish = Ord::min(span.wish, fair);
    Ord::min(Ord::max(wish, span.short), rest)
}

async fn save(db: &impl ConnectionTrait, changed: Rows) -> Result<(), Error> {
    if changed.is_empty() {
        return Ok(());
    }
    use budget::Column as C;
    let rows = changed.into_values().map(|row| row.into_active_model().reset_all());
    let update =
        OnConflict::columns([C::Budget, C::Span]).update_columns([C::WindowStart, C::WindowEnd, C::Granted]).to_owned();
    budget::Entity::insert_many(rows).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

fn to_i64(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
