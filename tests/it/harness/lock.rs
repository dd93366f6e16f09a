use super::Server;

/// Somebody else's write lock on the database: no write of the server gets through.
#[derive(Debug)]
pub(crate) struct WriteLock(sea_orm::DatabaseTransaction);

impl WriteLock {
    pub(crate) async fn take(server: &Server) -> Self {
        Self::of(&server.database_path()).await
    }

    pub(crate) async fn of(path: &std::path::Path) -> Self {
        use sea_orm::{SqliteTransactionMode, TransactionOptions, TransactionTrait as _};

        let url = format!("sqlite://{}", path.display());
        let database = sea_orm::Database::connect(url).await.expect("a second connection");
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        Self(database.begin_with_options(options).await.expect("the lock"))
    }

    pub(crate) async fn release(self) {
        self.0.rollback().await.expect("release");
    }
}
