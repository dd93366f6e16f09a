use std::sync::atomic::Ordering;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait, Iterable as _,
    PrimaryKeyToColumn as _, PrimaryKeyTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{IntoValueTuple as _, LockBehavior, LockType, ValueTuple},
};

use super::{Error, Store};

/// Rows that are deleted in one transaction: no writer waits long behind it, nor does the sync
/// loop and with it the lease.
const ROWS: usize = 500;
/// Rows that are found at one look.
const FOUND: u64 = 20_000;

type KeyOf<E> = <<E as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

impl Store {
    /// Deletes the rows of a table that are `old`, in `order`, and answers how many there were. They are
    /// found without a turn, since to find them may take long, and deleted in small transactions
    /// with the turn let go of in between; what is not old any more by then stays. Where there
    /// is nothing, nothing is written.
    pub(super) async fn forget<E: EntityTrait>(&self, order: E::Column, old: Condition) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let keys = self.find_old::<E>(order, old.clone()).await?;
            let mut rows = 0;
            for keys in keys.chunks(ROWS) {
                rows += self.forget_rows::<E>(keys, old.clone()).await?;
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

    async fn forget_rows<E: EntityTrait>(&self, keys: &[ValueTuple], old: Condition) -> Result<u64, Error> {
        let columns: Vec<E::Column> = E::PrimaryKey::iter().map(|key| key.into_column()).collect();
        let one = |key: &ValueTuple| {
            columns.iter().zip(key.clone()).fold(Condition::all(), |all, (column, value)| all.add(column.eq(value)))
        };
        let these = Condition::all().add(keys.iter().map(one).fold(Condition::any(), Condition::add));
        self.detached(async move |store| {
            let (_turn, tx) = store.begin_upkeep().await?;
            let rows = delete_unlocked::<E>(&tx, these.add(old)).await?;
            tx.commit().await?;
            store.inner.forgotten_at_once.fetch_max(rows, Ordering::SeqCst);
            Ok(rows)
        })
        .await
    }
}

/// What somebody else has locked is in use, and stays: to wait for rows in the order in which they are
/// found could be to wait in a circle.
async fn delete_unlocked<E: EntityTrait>(tx: &DatabaseTransaction, these: Condition) -> Result<u64, Error> {
    let columns: Vec<E::Column> = E::PrimaryKey::iter().map(|key| key.into_column()).collect();
    if tx.get_database_backend() == DbBackend::Sqlite {
        return Ok(E::delete_many().filter(these).exec(tx).await?.rows_affected);
    }
    let find = E::find().select_only().columns(columns.iter().copied()).filter(these);
    let find = find.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let found = find.into_tuple::<KeyOf<E>>().all(tx).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let one = |key: KeyOf<E>| {
        let values = key.into_value_tuple().into_iter();
        columns.iter().zip(values).fold(Condition::all(), |all, (column, value)| all.add(column.eq(value)))
    };
    let those = found.into_iter().map(one).fold(Condition::any(), Condition::add);
    Ok(E::delete_many().filter(those).exec(tx).await?.rows_affected)
}
