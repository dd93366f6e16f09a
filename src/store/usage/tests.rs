use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_migrations::{Migrator, MigratorTrait as _};
use sea_orm::{Database, QueryTrait as _};

use super::*;
use crate::domain::{
    id::{ApplicationId, KeyId},
    usage::{Counted, Counts},
    verdict::Verdict,
};

const NOW: Timestamp = Timestamp::from_seconds(1_795_219_200);

/// As many keys as one batch has, each refused and admitted.
fn batch(keys: u128) -> Vec<Tallied> {
    let mut counts = Counts::default();
    (counts[Verdict::Valid as usize], counts[Verdict::Expired as usize]) = (2, 1);
    let application_id = ApplicationId::new(Uuid::from_u128(7));
    let whose = |key| Whose { application_id, key_id: Some(KeyId::new(Uuid::from_u128(key))) };
    (0..keys).map(|key| Tallied { of: Counted::at(whose(key), NOW), counts, last_valid: Some(NOW) }).collect()
}

#[tokio::test]
async fn however_many_calls_were_counted_a_batch_is_few_statements() {
    let mut db = Database::connect("sqlite::memory:").await.expect("memory");
    Migrator::up(&db, None).await.expect("migrate");
    let statements = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&statements);
    db.set_metric_callback(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    for (keys, expected) in [(0, 0), (1, 2), (100, 2), (1000, 9)] {
        let before = statements.load(Ordering::SeqCst);
        let tallied = batch(keys);
        add_counts(&db, &tallied).await.expect("counts");
        add_last_uses(&db, &tallied).await.expect("last uses");
        assert_eq!(statements.load(Ordering::SeqCst) - before, expected, "{keys} keys");
    }
    let rows = usage_count::Entity::find().filter(usage_count::Column::KeyId.eq("")).all(&db).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.requests).sum::<i64>(), 3 * (1101 + 2 * 1101) as i64);
}

#[test]
fn what_is_added_reads_the_same_on_postgresql() {
    let add = count_row(
        &UsageRow { whose: batch(1)[0].of.whose, unit: UsageUnit::Day, start: NOW, verdict: Verdict::Valid },
        u64::MAX,
    );
    assert_eq!(add.requests, i64::MAX);
    let sql = usage_count::Entity::insert_many([add.into_active_model().reset_all()])
        .on_conflict(sum())
        .build(sea_orm::DbBackend::Postgres)
        .to_string();
    let end = r#"ON CONFLICT ("application_id", "key_id", "unit", "start", "verdict") DO UPDATE SET "requests" = (CASE WHEN ("usage_count"."requests" > 9223372036854775807 - "excluded"."requests") THEN 9223372036854775807 ELSE "usage_count"."requests" + "excluded"."requests" END)"#;
    assert!(sql.contains(end), "{sql}");
}

async fn plan(db: &sea_orm::DatabaseConnection, sql: &str) -> String {
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = db.query_all_raw(statement).await.expect("a plan");
    rows.iter().map(|row| row.try_get::<String>("", "detail").expect("a text")).collect::<Vec<_>>().join("; ")
}

const BY_PRIMARY_KEY: &str = "application_id=? AND key_id=? AND unit=? AND start";

#[tokio::test]
async fn the_usage_of_a_page_is_found_by_chain_and_then_by_the_primary_key() {
    let db = Database::connect("sqlite::memory:").await.expect("memory");
    Migrator::up(&db, None).await.expect("migrate");
    let chains = [1, 2].map(|chain| KeyId::new(Uuid::from_u128(chain))).into();
    let starts = [UsageUnit::Day, UsageUnit::Month].map(|unit| (unit, unit.start(NOW).micros()));
    let counts = read::counts(ApplicationId::new(Uuid::from_u128(7)), chains, starts);
    let plan = plan(&db, &counts.build(sea_orm::DbBackend::Sqlite).to_string()).await;
    assert!(plan.contains("api_key_by_chain (chain=?)") && plan.contains(BY_PRIMARY_KEY), "{plan}");
}

#[tokio::test]
async fn the_usage_of_a_chain_is_found_by_chain_and_then_by_the_primary_key() {
    let db = Database::connect("sqlite::memory:").await.expect("memory");
    Migrator::up(&db, None).await.expect("migrate");
    let range = usage::UsageRange { unit: UsageUnit::Hour, start: Timestamp::from_micros(0), end: NOW };
    let chain = read::chain_counts(ApplicationId::new(Uuid::from_u128(7)), KeyId::new(Uuid::from_u128(1)), &range);
    let plan = plan(&db, &chain.build(sea_orm::DbBackend::Sqlite).to_string()).await;
    assert!(plan.contains("api_key_by_chain (chain=?)") && plan.contains(BY_PRIMARY_KEY), "{plan}");
}
