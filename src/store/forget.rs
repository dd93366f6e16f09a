use std::sync::atomic::Ordering;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait, Iterable as _, PrimaryKeyToColumn as _, PrimaryKeyTrait,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
    sea_query::{
        Alias, Asterisk, Expr, ExprTrait as _, IntoValueTuple as _, LockBehavior, LockType, Query, ValueTuple,
    },
};

use super::{Error, Store};

/// Rows that are deleted in one transaction: no writer waits long behind it, nor does the sync
/// loop and with it the lease.
const ROWS: usize = 500;
/// Rows that are found at one look.
const FOUND: u64 = 20_000;

/// What becomes of rows that another has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InUse {
    Passed,
    WaitedFor,
}

type KeyOf<E> = <<E as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

impl Store {
    /// Deletes the rows of a table that are `old`, in `order`, and answers how many there were. They are
    /// found without a turn, since to find them may take long, and deleted in small transactions
    /// with the turn let go of in between; what is not old any more by then stays. Where there
    /// is nothing, nothing is written.
    pub(super) async fn forget<E: EntityTrait>(&self, order: E::Column, old: Condition) -> Result<u64, Error> {
        self.forget_so::<E>(order, old, InUse::Passed).await
    }

    /// As [`Store::forget`], where nothing may go before what was there before it, whoever else deletes.
    pub(super) async fn forget_in_order<E: EntityTrait>(&self, order: E::Column, old: Condition) -> Result<u64, Error> {
        self.forget_so::<E>(order, old, InUse::WaitedFor).await
    }

    async fn forget_so<E: EntityTrait>(&self, order: E::Column, old: Condition, in_use: InUse) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let keys = self.find_old::<E>(order, old.clone()).await?;
            let mut rows = 0;
            for keys in keys.chunks(ROWS) {
                rows += self.forget_rows::<E>(keys, old.clone(), in_use).await?;
            }
            forgotten += rows;
            if rows == 0 || (keys.len() as u64) < FOUND {
                return Ok(forgotten);
            }
        }
    }

    /// The most rows that one transaction has deleted so far.
    #[must_use]
    pub fn most_forgotten_at_once(&self) -> u64 {
        self.inner.forgotten_at_once.load(Ordering::SeqCst)
    }

    async fn find_old<E: EntityTrait>(&self, order: E::Column, old: Condition) -> Result<Vec<ValueTuple>, Error> {
        self.detached(async move |store| {
            let columns = E::PrimaryKey::iter().map(|key| key.into_column());
            let find = E::find().select_only().columns(columns).filter(old).order_by_asc(order).limit(FOUND);
            let keys = find.into_tuple::<KeyOf<E>>().all(&store.looks()).await?;
            Ok(keys.into_iter().map(KeyOf::<E>::into_value_tuple).collect())
        })
        .await
    }

    async fn forget_rows<E: EntityTrait>(
        &self,
        keys: &[ValueTuple],
        old: Condition,
        in_use: InUse,
    ) -> Result<u64, Error> {
        let first = one_of::<E>(keys.first().cloned());
        let these = one_of::<E>(keys.iter().cloned()).add(old);
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_upkeep().await?;
            if in_use == InUse::WaitedFor {
                // Of several that delete the same, one does these, and the others what is behind them.
                E::find().filter(first).lock_exclusive().all(&tx).await?;
            }
            let rows = delete_unlocked(&tx, E::find().filter(these)).await?;
            tx.commit().await?;
            store.inner.forgotten_at_once.fetch_max(rows, Ordering::SeqCst);
            Ok(rows)
        })
        .await
    }
}

/// The rows with these keys.
fn one_of<E: EntityTrait>(keys: impl IntoIterator<Item = ValueTuple>) -> Condition {
    let columns: Vec<E::Column> = E::PrimaryKey::iter().map(|key| key.into_column()).collect();
    if let [column] = *columns {
        return Condition::all().add(column.is_in(keys.into_iter().flatten()));
    }
    // As rows of a table, each found by the primary key: of a chain of ORs an engine makes a plan that
    // takes longer than the rest.
    let keys = Query::select().column(Asterisk).from_values(keys, Alias::new("these")).to_owned();
    let columns = Expr::tuple(columns.into_iter().map(Expr::col));
    Condition::all().add(columns.in_subquery(keys))
}

/// What somebody else has locked is in use, and stays: to wait for rows in the order in which they are
/// found could be to wait in a circle.
pub(super) async fn delete_unlocked<E: EntityTrait>(tx: &impl ConnectionTrait, these: Select<E>) -> Result<u64, Error> {
    let columns = E::PrimaryKey::iter().map(|key| key.into_column());
    let these = these.select_only().columns(columns).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let found = these.into_tuple::<KeyOf<E>>().all(tx).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let these = one_of::<E>(found.into_iter().map(KeyOf::<E>::into_value_tuple));
    Ok(E::delete_many().filter(these).exec(tx).await?.rows_affected)
}
