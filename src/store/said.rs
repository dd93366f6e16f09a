//! What a database server says, as an operator reads it: without the line of the server's own source, and with
//! what to do, where that is known.

use std::io::ErrorKind;

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, postgres::PgDatabaseError},
};

const TO_PRIMARY: &str = "it is a standby, or read-only: give the primary's address";
const TLS: &str = "a URL without sslmode means sslmode=verify-full beyond loopback: sslrootcert=FILE names the authority of \
                   the server's certificate, and sslmode=disable goes without TLS, where nobody else is on that network";

/// In the words of a server, where they are a server's.
pub(super) fn said(error: &DbErr) -> String {
    match driver(error) {
        Some(error) => match (words(error), advice(error)) {
            (Some(words), Some(advice)) => format!("{words}; {advice}"),
            (Some(words), None) => words,
            (None, _) => error.to_string(),
        },
        None => error.to_string(),
    }
}

/// Its message alone; the driver puts before it what it was about, and behind it a line of the server's source.
pub(super) fn words(error: &sqlx::Error) -> Option<String> {
    let of_server = |error: &dyn sqlx::error::DatabaseError| error.try_downcast_ref::<PgDatabaseError>().is_some();
    error.as_database_error().filter(|error| of_server(*error)).map(|error| error.message().to_owned())
}

/// What to do about it, by its SQLSTATE: see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) fn advice(error: &sqlx::Error) -> Option<&'static str> {
    Some(match error {
        sqlx::Error::Tls(_) => TLS,
        sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => TLS,
        sqlx::Error::Database(error) => match error.code()?.as_ref() {
            "25006" => TO_PRIMARY,
            "28P01" => {
                "give the role's password in --database-url (PORTCULLIS_DATABASE_URL), in PGPASSWORD or in ~/.pgpass"
            }
            "28000" => "look at the role in --database-url, and at the server's pg_hba.conf",
            "3D000" => "make it first: CREATE DATABASE, with the role that runs `portcullis migrate` as its owner",
            "42501" => "grant it to this role, or use the one that it was granted to",
            "42P01" | "42703" => "`portcullis check` names what the schema lacks",
            "53300" => "raise max_connections of the server, or the role's limit: each replica takes up to 16",
            _ => return None,
        },
        _ => return None,
    })
}

/// Whether it answers, and what was asked for is not there, or not this role's: SQLSTATE class 42, and SQLite's
/// SQLITE_ERROR. No repeat helps.
pub(super) fn is_unfit(error: &DbErr) -> bool {
    let code = driver(error).and_then(sqlx::Error::as_database_error).and_then(|error| error.code());
    code.is_some_and(|code| code == "1" || code.starts_with("42"))
}

/// What it says where the role was not allowed to do it.
pub(super) fn denied(error: &DbErr) -> Option<String> {
    let error = driver(error)?;
    (error.as_database_error()?.code()? == "42501").then(|| words(error)).flatten()
}

fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}
