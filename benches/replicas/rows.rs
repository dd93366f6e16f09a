//! Very many keys, by the server itself: each as one that the service made.

use crate::postgres::Database;

/// Copies a key so often, under ids, names and secrets of their own. `from` is the number of the
/// first: numbers that were given are not given again.
pub(crate) fn copy_key(database: &Database, key_id: &str, from: usize, many: usize) {
    let names = database.psql(
        "SELECT column_name FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = 'api_key' ORDER BY ordinal_position",
    );
    let names: Vec<_> = names.lines().collect();
    let values = names.iter().map(|name| match *name {
        "key_id" | "chain" => numbered(),
        "secret_sha256" => "sha256(convert_to('copy ' || n, 'UTF8'))".to_owned(),
        "name" => "'key ' || n".to_owned(),
        name => name.to_owned(),
    });
    let (names, values) = (names.join(", "), values.collect::<Vec<_>>().join(", "));
    database.psql(&format!(
        "INSERT INTO api_key ({names}) SELECT {values} FROM api_key CROSS JOIN generate_series({from}, {}) AS n \
         WHERE key_id = '{key_id}'",
        from + many - 1,
    ));
    database.psql("ANALYZE api_key");
}

/// The id of the `n`-th.
pub(crate) fn copied(n: usize) -> String {
    format!("key_03{n:020}")
}

fn numbered() -> String {
    "'key_03' || lpad(n::text, 20, '0')".to_owned()
}
