//! Whether the tables are there that the entities read and write, and open to the role that asks: that every
//! migration is recorded says neither.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::entity;

/// What nothing could be served with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Tables, or columns as `table.column`.
    #[error("the schema lacks {}, though every migration is recorded as applied", .0.join(", "))]
    Lacks(Vec<String>),
    /// Tables by what the role may not do to them, which stands there as in a GRANT.
    #[error("the role {role} may not {}", listed(denied, ", nor ", |what, tables| format!("{what} on {tables}")))]
    Denied { role: String, denied: BTreeMap<String, Vec<&'static str>> },
}

impl Unfit {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Lacks(_) => {
                "what was dropped comes back with a backup; where a migration was recorded and not run, delete its row \
                               from seaql_migrations and run `portcullis migrate`"
                    .to_owned()
            }
            Self::Denied { role, denied } => {
                let grants = listed(denied, "; ", |what, tables| format!("GRANT {what} ON {tables} TO {role}"));
                format!("as their owner run {grants}")
            }
        }
    }
}

fn listed(denied: &BTreeMap<String, Vec<&str>>, between: &str, one: impl Fn(&str, &str) -> String) -> String {
    denied.iter().map(|(what, tables)| one(what, &tables.join(", "))).collect::<Vec<_>>().join(between)
}

/// What no server does to the rows of a table, so that a role need not be allowed it: only `migrate` changes a row
/// of the audit log, or puts the one row into a head.
fn never_done(table: &str) -> &'static [&'static str] {
    match table {
        "audit_event" => &["UPDATE", "DELETE"],
        "audit_head" | "notice_head" => &["INSERT", "DELETE"],
        "api_key" | "application" | "last_use" | "log_head" | "service_account" => &["DELETE"],
        _ => &[],
    }
}

/// Columns as a session finds them that names no schema, each with what its role may not do to the table.
const AT_SERVER: &str = "SELECT c.relname::text, a.attname::text, quote_ident(current_user), \
    array_to_string(ARRAY(SELECT may FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS may \
        WHERE NOT has_table_privilege(c.oid, may)), ' ') \
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE c.relkind IN ('r', 'p', 'v', 'f') AND c.relnamespace <> 'pg_catalog'::regnamespace AND pg_table_is_visible(c.oid)";
const IN_FILE: &str = "SELECT m.name, c.name, '', '' FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c \
    WHERE m.type IN ('table', 'view')";

#[derive(Default)]
struct Found {
    columns: BTreeSet<String>,
    denied: String,
}

/// Looks, in a database whose migrations are applied.
pub(super) async fn unfit(database: &impl ConnectionTrait) -> Result<Option<Unfit>, DbErr> {
    let backend = database.get_database_backend();
    let sql = if backend == DbBackend::Sqlite { IN_FILE } else { AT_SERVER };
    let (mut found, mut role) = (BTreeMap::<String, Found>::new(), String::new());
    for row in database.query_all_raw(Statement::from_string(backend, sql)).await? {
        let text = |index| row.try_get_by_index::<String>(index);
        let table = found.entry(text(0)?).or_default();
        table.columns.insert(text(1)?);
        (role, table.denied) = (text(2)?, text(3)?);
    }
    Ok(compare(&found, role))
}

fn compare(found: &BTreeMap<String, Found>, role: String) -> Option<Unfit> {
    let (mut lacks, mut denied) = (Vec::new(), BTreeMap::<String, Vec<&'static str>>::new());
    for (name, columns) in entity::tables() {
        let Some(table) = found.get(name) else {
            lacks.push(name.to_owned());
            continue;
        };
        let missing = columns.into_iter().filter(|column| !table.columns.contains(*column));
        lacks.extend(missing.map(|column| format!("{name}.{column}")));
        let needed = table.denied.split_whitespace().filter(|what| !never_done(name).contains(what));
        let needed = needed.collect::<Vec<_>>().join(", ");
        if !needed.is_empty() {
            denied.entry(needed).or_default().push(name);
        }
    }
    if !lacks.is_empty() {
        return Some(Unfit::Lacks(lacks));
    }
    (!denied.is_empty()).then_some(Unfit::Denied { role, denied })
}
