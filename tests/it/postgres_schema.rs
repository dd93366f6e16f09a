//! The schema on PostgreSQL: the types are the entities', texts are compared by their bytes, and
//! several who migrate at once do it once.

use std::collections::BTreeMap;

use portcullis::store::{OpenError, Store};
use portcullis_migrations::{Migrator, MigratorTrait as _};

use crate::{
    harness::{Data, Rows},
    schema::{each_table_and_column_is_missed, entities},
};

/// How PostgreSQL keeps what an entity holds.
fn kept(kind: &str) -> &'static str {
    match kind {
        "String" => "text",
        "bool" => "boolean",
        "i16" => "smallint",
        "i32" => "integer",
        "i64" => "bigint",
        "Uuid" => "uuid",
        "Json" => "jsonb",
        "Vec<u8>" => "bytea",
        other => panic!("{other} in an entity"),
    }
}

#[tokio::test]
async fn columns_are_of_the_types_that_the_entities_say_and_texts_in_the_order_of_their_bytes() {
    let Some(data) = Data::migrated_at_server().await else { return };
    let columns = "SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(' ' || collation_name, '') \
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'seaql%'";
    let found: BTreeMap<String, String> = Rows::of(&data)
        .await
        .texts(columns)
        .await
        .iter()
        .map(|column| column.split_once(' ').expect("two words"))
        // Of varying length or not is the same to it.
        .map(|(name, kind)| (name.to_owned(), kind.replace("character varying", "text")))
        .collect();
    let expected: BTreeMap<String, String> = entities()
        .into_iter()
        .flat_map(|(table, columns)| columns.into_iter().map(move |(name, column)| (format!("{table}.{name}"), column)))
        .map(|(name, column)| (name, kept(&column.kind)))
        .map(|(name, kind)| (name, if kind == "text" { "text C" } else { kind }.to_owned()))
        .collect();
    assert!(expected.values().any(|kind| kind == "text C"));
    assert_eq!(found, expected);
}

#[tokio::test]
async fn each_table_and_column_that_the_entities_have_is_missed_at_the_start_at_a_server() {
    let Some(data) = Data::migrated_at_server().await else { return };
    each_table_and_column_is_missed(&data).await;
}

#[tokio::test]
async fn of_several_who_migrate_at_once_one_does_it() {
    let Some(data) = Data::empty_at_server().await else { return };
    let url = data.database_url();
    let all: Vec<_> = (0..5)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::migrate(&url).await.expect("migrate") })
        })
        .collect();
    let mut applied = Vec::new();
    for one in all {
        applied.push(one.await.expect("a task"));
    }
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, 0, Migrator::migrations().len()]);
}

#[tokio::test]
async fn an_older_program_does_not_migrate_what_a_newer_one_made() {
    let Some(data) = Data::migrated_at_server().await else { return };
    let rows = Rows::of(&data).await;
    rows.change("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)").await;
    let before = rows.schema().await;
    let error = Store::migrate(&data.database_url()).await.expect_err("newer");
    assert!(matches!(error, OpenError::Newer(_)), "{error}");
    assert_eq!(rows.schema().await, before);
}
