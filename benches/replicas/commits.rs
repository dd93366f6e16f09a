//! What everything else is compared with: one small row, updated and committed, by itself.

use std::time::Instant;

use sea_orm::sqlx::{Connection as _, Executor as _, PgConnection};

use crate::samples::Samples;

/// So many durable commits, one after the other.
pub(crate) async fn commits(url: &str, many: usize) -> Samples {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    for sql in [
        "SET synchronous_commit = on",
        "CREATE TABLE IF NOT EXISTS bare_commit (id int PRIMARY KEY, n bigint NOT NULL)",
        "INSERT INTO bare_commit VALUES (1, 0) ON CONFLICT DO NOTHING",
    ] {
        connection.execute(sql).await.expect(sql);
    }
    let mut samples = Samples::default();
    for _ in 0..many {
        let begun = Instant::now();
        let mut transaction = connection.begin().await.expect("BEGIN");
        transaction.execute("UPDATE bare_commit SET n = n + 1 WHERE id = 1").await.expect("UPDATE");
        transaction.commit().await.expect("COMMIT");
        samples.add(begun.elapsed());
    }
    connection.close().await.expect("the end of the connection");
    samples
}
