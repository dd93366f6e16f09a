use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _,
};

use super::{data::Located, dialect};

/// Somebody else's write lock on the database: no write of the server gets through, and who
/// reads is not kept waiting.
#[derive(Debug)]
pub(crate) struct WriteLock(DatabaseTransaction);

impl WriteLock {
    pub(crate) async fn take(place: &impl Located) -> Self {
        let database = dialect::connect(&place.url()).await;
        if database.get_database_backend() == DbBackend::Sqlite {
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..Default::default()
            };
            return Self(database.begin_with_options(options).await.expect("the lock"));
        }
        for _ in 0..100 {
            if let Ok(lock) = lock_tables(&database).await {
                return Self(lock);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server never lets its tables be locked");
    }

    pub(crate) async fn release(self) {
        self.0.rollback().await.expect("release");
    }
}

/// One table after the other, and so in the way of whoever has some of them: gives way before the
/// server takes it for a deadlock.
async fn lock_tables(database: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let run = |sql: &str| Statement::from_string(DbBackend::Postgres, sql);
    let names = "SELECT string_agg(quote_ident(tablename), ', ' ORDER BY tablename <> 'log_head', tablename) \
        FROM pg_tables WHERE schemaname = 'public'";
    let names = database.query_one_raw(run(names)).await?.expect("a row");
    let names: String = names.try_get_by_index(0)?;
    let tx = database.begin().await?;
    tx.execute_raw(run("SET LOCAL lock_timeout = '300ms'")).await?;
    tx.execute_raw(run(&format!("LOCK TABLE {names} IN EXCLUSIVE MODE"))).await?;
    Ok(tx)
}
