//! The schema: what the migrations make is what the code reads, and nothing opens what it
//! does not know.

use std::{collections::BTreeMap, path::Path};

use portcullis::{
    clock::Clock,
    entropy::Entropy,
    store::{DatabaseUrl, OpenError, Store},
};
use portcullis_migrations::{Migrator, MigratorTrait as _};

use crate::harness::{Rows, Server};

async fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(&DatabaseUrl::sqlite(path), Clock::system(), Entropy::system()).await
}

async fn schema(rows: &Rows) -> Vec<String> {
    rows.texts("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'seaql%' ORDER BY name").await
}

#[tokio::test]
async fn migrations_go_up_down_and_up_again() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("portcullis.db");
    assert!(Store::migrate(&DatabaseUrl::sqlite(&path)).await.expect("up") > 0);
    assert_eq!(Store::migrate(&DatabaseUrl::sqlite(&path)).await.expect("nothing to do"), 0);
    let rows = Rows::of(&path).await;
    let first = schema(&rows).await;
    assert!(first.len() > 10, "{first:?}");
    Migrator::down(rows.connection(), None).await.expect("down");
    assert_eq!(schema(&rows).await, Vec::<String>::new(), "nothing is left");
    Migrator::up(rows.connection(), None).await.expect("up again");
    assert_eq!(schema(&rows).await, first);
    open(&path).await.expect("and it opens");
}

/// Name, whether it may be null, and whether it is of the primary key, of every column.
type Columns = BTreeMap<String, (bool, bool)>;

/// What `src/store/entity` says.
fn entities() -> BTreeMap<String, Columns> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/entity");
    let files = std::fs::read_dir(folder).expect("the entities").map(|file| file.expect("a file").path());
    files.map(|path| entity(&std::fs::read_to_string(path).expect("a file"))).collect()
}

fn entity(text: &str) -> (String, Columns) {
    let file = syn::parse_file(text).expect("Rust");
    let model = file.items.iter().find_map(|item| match item {
        syn::Item::Struct(model) if model.ident == "Model" => Some(model),
        _ => None,
    });
    let model = model.expect("a Model");
    let says = |attributes: &[syn::Attribute], word: &str| {
        attributes.iter().any(|attribute| match &attribute.meta {
            syn::Meta::List(list) => list.path.is_ident("sea_orm") && list.tokens.to_string().contains(word),
            _ => false,
        })
    };
    let table = model.attrs.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("sea_orm") => {
            list.tokens.to_string().split('"').nth(1).map(str::to_owned)
        }
        _ => None,
    });
    let columns = model.fields.iter().map(|field| {
        let optional = matches!(&field.ty, syn::Type::Path(path) if path.path.segments[0].ident == "Option");
        let name = field.ident.as_ref().expect("a name").to_string();
        (name, (optional, says(&field.attrs, "primary_key")))
    });
    (table.expect("a table's name"), columns.collect())
}

#[tokio::test]
async fn the_schema_is_what_the_entities_say() {
    let server = Server::start().await;
    let rows = Rows::of(&server.database_path()).await;
    let mut tables = BTreeMap::new();
    let names =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'seaql%' AND name NOT LIKE 'sqlite%'";
    for table in rows.texts(names).await {
        let mut columns = Columns::new();
        for row in rows.all(&format!("PRAGMA table_info({table})")).await {
            let column = |name| row.try_get::<i64>("", name).expect("a number");
            let name: String = row.try_get("", "name").expect("a name");
            columns.insert(name, (column("notnull") == 0 && column("pk") == 0, column("pk") > 0));
        }
        tables.insert(table, columns);
    }
    assert_eq!(tables, entities());
}

#[tokio::test]
async fn two_processes_never_share_a_database() {
    let server = Server::start().await;
    let error = open(&server.database_path()).await.expect_err("in use");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    let error = Store::migrate(&DatabaseUrl::sqlite(server.database_path())).await.expect_err("in use");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("portcullis.db");
    let error = open(&path).await.expect_err("nothing there");
    assert!(matches!(error, OpenError::Missing(_)), "{error}");
    assert!(error.to_string().contains("portcullis migrate"), "{error}");
    assert!(!path.exists(), "and nothing was made");

    std::fs::write(&path, b"").expect("an empty file");
    let error = open(&path).await.expect_err("empty");
    assert!(matches!(error, OpenError::NotMigrated { pending: 1.. }), "{error}");
    assert!(error.to_string().contains("portcullis migrate"), "{error}");

    Store::migrate(&DatabaseUrl::sqlite(&path)).await.expect("migrate");
    drop(open(&path).await.expect("good"));
    let rows = Rows::of(&path).await;
    rows.change("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)").await;
    drop(open(&path).await.expect("a newer schema that still serves this program"));
    rows.change("UPDATE log_head SET serves_from = 1000").await;
    let error = open(&path).await.expect_err("one that does not");
    assert!(matches!(error, OpenError::Newer(_)), "{error}");
    let error = Store::migrate(&DatabaseUrl::sqlite(&path)).await.expect_err("newer");
    assert!(matches!(error, OpenError::Newer(_)), "{error}");

    std::fs::write(folder.path().join("other.db"), b"this is no database, whatever its name says").expect("a file");
    let error = open(&folder.path().join("other.db")).await.expect_err("no database");
    assert!(matches!(error, OpenError::Database(_)), "{error}");
}
