//! The schema: what the migrations make is what the code reads, and nothing opens what it
//! does not know.

use std::{collections::BTreeMap, path::Path};

use portcullis::{
    clock::Clock,
    entropy::Entropy,
    store::{OpenError, Store, Unfit},
};
use portcullis_migrations::{Migrator, MigratorTrait as _};

use crate::harness::{Data, Rows};

#[tokio::test]
async fn migrations_go_up_down_and_up_again() {
    let data = Data::empty().await;
    assert!(Store::migrate(&data.database_url()).await.expect("up") > 0);
    assert_eq!(Store::migrate(&data.database_url()).await.expect("nothing to do"), 0);
    let rows = Rows::of(&data).await;
    let first = rows.schema().await;
    assert!(first.len() > 10, "{first:?}");
    Migrator::down(rows.connection(), None).await.expect("down");
    assert_eq!(rows.schema().await, Vec::<String>::new(), "nothing is left");
    Migrator::up(rows.connection(), None).await.expect("up again");
    assert_eq!(rows.schema().await, first);
    Store::open(&data.database_url(), Clock::system(), Entropy::system()).await.expect("and it opens");
}

/// What a column is, by its name.
pub(crate) type Columns = BTreeMap<String, Column>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) nullable: bool,
    pub(crate) primary: bool,
    /// In Rust.
    pub(crate) kind: String,
}

/// What `src/store/entity` says.
pub(crate) fn entities() -> BTreeMap<String, Columns> {
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
        let kind = quote(&field.ty);
        let inner = kind.strip_prefix("Option<").and_then(|kind| kind.strip_suffix('>'));
        let name = field.ident.as_ref().expect("a name").to_string();
        let primary = says(&field.attrs, "primary_key");
        (name, Column { nullable: inner.is_some(), primary, kind: inner.unwrap_or(&kind).to_owned() })
    });
    (table.expect("a table's name"), columns.collect())
}

/// A type as it is written, without spaces.
fn quote(kind: &syn::Type) -> String {
    let syn::Type::Path(path) = kind else { panic!("a type of an entity") };
    let last = path.path.segments.last().expect("a name");
    let syn::PathArguments::AngleBracketed(of) = &last.arguments else { return last.ident.to_string() };
    let of = of.args.iter().map(|of| match of {
        syn::GenericArgument::Type(of) => quote(of),
        _ => panic!("a type of a type"),
    });
    format!("{}<{}>", last.ident, of.collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn the_schema_is_what_the_entities_say() {
    let data = Data::migrated().await;
    let rows = Rows::of(&data).await;
    let is = |columns: Columns| -> BTreeMap<String, (bool, bool)> {
        columns.into_iter().map(|(name, column)| (name, (column.nullable, column.primary))).collect()
    };
    let entities: BTreeMap<_, _> = entities().into_iter().map(|(table, columns)| (table, is(columns))).collect();
    assert_eq!(rows.tables().await, entities);
}

/// Whatever the record of migrations says.
pub(crate) async fn each_table_and_column_is_missed(data: &Data) {
    let rows = Rows::of(data).await;
    let url = data.database_url();
    let open = || Store::open(&url, Clock::system(), Entropy::system());
    let lacks = |opened: Result<Store, OpenError>| match opened {
        Err(OpenError::Unfit(Unfit::Lacks(lacks))) => lacks,
        other => panic!("{other:?}"),
    };
    for (table, columns) in entities() {
        rows.change(&format!("ALTER TABLE {table} RENAME TO gone")).await;
        assert_eq!(lacks(open().await), std::slice::from_ref(&table));
        rows.change(&format!("ALTER TABLE gone RENAME TO {table}")).await;
        let column = columns.keys().next_back().expect("a column");
        rows.change(&format!("ALTER TABLE {table} RENAME COLUMN {column} TO gone")).await;
        assert_eq!(lacks(open().await), [format!("{table}.{column}")]);
        rows.change(&format!("ALTER TABLE {table} RENAME COLUMN gone TO {column}")).await;
    }
    open().await.expect("all are there again").close().await;
}

#[tokio::test]
async fn each_table_and_column_that_the_entities_have_is_missed_at_the_start() {
    each_table_and_column_is_missed(&Data::migrated().await).await;
}

/// What is about the file.
mod sqlite {
    use std::path::Path;

    use portcullis::{
        clock::Clock,
        entropy::Entropy,
        store::{DatabaseUrl, OpenError, Store},
    };

    use crate::harness::{Data, Rows, Server};

    async fn open(path: &Path) -> Result<Store, OpenError> {
        Store::open(&DatabaseUrl::sqlite(path), Clock::system(), Entropy::system()).await
    }

    #[tokio::test]
    async fn two_processes_never_share_a_database() {
        let server = Server::start().await;
        let error = open(&server.data.path()).await.expect_err("in use");
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
        let error = Store::migrate(&DatabaseUrl::sqlite(server.data.path())).await.expect_err("in use");
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_file_with_a_second_name_is_opened_by_neither() {
        let data = Data::file();
        let path = data.path();
        Store::migrate(&DatabaseUrl::sqlite(&path)).await.expect("migrate");
        let other = path.with_file_name("other.db");
        std::fs::hard_link(&path, &other).expect("a link");
        for name in [&path, &other] {
            let error = open(name).await.expect_err("two names");
            assert!(matches!(error, OpenError::Linked(_)), "{error}");
        }
        std::fs::remove_file(&other).expect("removed");
        drop(open(&path).await.expect("its only name"));
    }

    #[tokio::test]
    async fn what_cannot_be_opened_says_what_to_do() {
        let data = Data::file();
        let path = data.path();
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
        let rows = Rows::of(&data).await;
        rows.change("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)").await;
        drop(open(&path).await.expect("a newer schema that still serves this program"));
        let migrated = Store::migrate(&DatabaseUrl::sqlite(&path)).await;
        assert_eq!(
            migrated.expect("and needs nothing from it"),
            0,
            "a start migrates first, also when it has come back"
        );
        rows.change("UPDATE log_head SET serves_from = 1000").await;
        let error = open(&path).await.expect_err("one that does not");
        assert!(matches!(error, OpenError::Newer(_)), "{error}");
        let error = Store::migrate(&DatabaseUrl::sqlite(&path)).await.expect_err("newer");
        assert!(matches!(error, OpenError::Newer(_)), "{error}");

        let other = path.with_file_name("other.db");
        std::fs::write(&other, b"this is no database, whatever its name says").expect("a file");
        let error = open(&other).await.expect_err("no database");
        assert!(matches!(error, OpenError::Database(_)), "{error}");
    }
}
