use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Where the data is: `sqlite://PATH` or `postgres://…`.
#[derive(Clone)]
pub struct DatabaseUrl(pub(super) Place);

#[derive(Clone)]
pub(super) enum Place {
    /// A file that one process has to itself.
    Sqlite(PathBuf),
    /// A server that many share. Its URL may hold a password.
    Postgres(SecretString),
}

/// Not a URL of a database that this version knows. Never repeats it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlInvalid {
    #[error(
        "a database URL is sqlite://PATH (sqlite:///absolute/path.db or sqlite://relative/path.db) or \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    )]
    Unknown,
    #[error("a PostgreSQL URL is postgres://USER:PASSWORD@HOST:PORT/DATABASE; percent-encode what is special in it")]
    Postgres,
    #[error("the PostgreSQL URL names no database: postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    NoDatabase,
}

impl DatabaseUrl {
    /// The SQLite file at `path`.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Place::Sqlite(path.into()))
    }

    /// Where it is, if it is a file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }

    /// Whether several processes may serve from it at once.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Place::Postgres(_))
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlInvalid;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlInvalid> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            let is_file =
                !path.is_empty() && !path.contains(['?', '#', '\0']) && !path.ends_with('/') && path != ":memory:";
            return if is_file { Ok(Self::sqlite(path)) } else { Err(DatabaseUrlInvalid::Unknown) };
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(DatabaseUrlInvalid::Unknown);
        }
        let options: PgConnectOptions = text.parse().map_err(|_| DatabaseUrlInvalid::Postgres)?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(DatabaseUrlInvalid::NoDatabase);
        }
        Ok(Self(Place::Postgres(SecretString::from(text))))
    }
}

/// Without the password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => write!(formatter, "sqlite://{}", path.display()),
            Place::Postgres(url) => match postgres_options(url) {
                Ok(options) => {
                    let (host, port) = (options.get_host(), options.get_port());
                    let database = options.get_database().unwrap_or_default();
                    match options.get_socket() {
                        Some(socket) => write!(formatter, "postgres://{}:{port}/{database}", socket.display()),
                        None => write!(formatter, "postgres://{host}:{port}/{database}"),
                    }
                }
                Err(_) => formatter.write_str("postgres://"),
            },
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({self})")
    }
}

/// How to reach the server. Where the URL does not say how the connection is kept from others, one
/// that leaves the machine is encrypted, and the server must prove its name.
pub(super) fn postgres_options(url: &SecretString) -> Result<PgConnectOptions, DatabaseUrlInvalid> {
    let text = url.expose_secret();
    let options: PgConnectOptions = text.parse().map_err(|_| DatabaseUrlInvalid::Postgres)?;
    let says =
        Url::parse(text).is_ok_and(|url| url.query_pairs().any(|(name, _)| name == "sslmode" || name == "ssl-mode"));
    if says || options.get_socket().is_some() || is_loopback(options.get_host()) {
        return Ok(options);
    }
    Ok(options.ssl_mode(PgSslMode::VerifyFull))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/') || host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> DatabaseUrlInvalid {
        text.parse::<DatabaseUrl>().map(drop).expect_err(text)
    }

    fn ssl_mode(text: &str) -> String {
        let url: DatabaseUrl = text.parse().expect(text);
        let Place::Postgres(url) = &url.0 else { panic!("{text}") };
        format!("{:?}", postgres_options(url).expect(text).get_ssl_mode())
    }

    #[test]
    fn a_url_is_of_a_file_or_of_a_server() {
        for good in
            ["sqlite:///a/b.db", "sqlite://b.db", "postgres://u:p@h:5433/d", "postgresql://u@h/d?sslmode=require"]
        {
            assert!(good.parse::<DatabaseUrl>().is_ok(), "{good}");
        }
        for bad in ["", "mysql://h/d", "sqlite://", "sqlite://:memory:", "sqlite://a/", "sqlite://a?mode=ro", "/a/b.db"]
        {
            assert_eq!(refused(bad), DatabaseUrlInvalid::Unknown, "{bad}");
        }
        assert_eq!(refused("postgres://u:p@h:99999/d"), DatabaseUrlInvalid::Postgres);
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: DatabaseUrl = "postgres://user:hunter2@db.example.com:5433/keys".parse().expect("url");
        assert_eq!(url.to_string(), "postgres://db.example.com:5433/keys");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(!refused("postgres://user:hunter2@h:x/d").to_string().contains("hunter2"));
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_the_url_says_otherwise() {
        for near in ["postgres://u@localhost/d", "postgres://u@127.0.0.1/d", "postgres://u@[::1]/d"] {
            assert_eq!(ssl_mode(near), "Prefer", "{near}");
        }
        assert_eq!(ssl_mode("postgres://u@localhost/d?host=/run/postgresql"), "Prefer");
        assert_eq!(ssl_mode("postgres://u@db.example.com/d"), "VerifyFull");
        assert_eq!(ssl_mode("postgres://u@10.0.0.7/d"), "VerifyFull");
        assert_eq!(ssl_mode("postgres://u@db.example.com/d?sslmode=disable"), "Disable");
        assert_eq!(ssl_mode("postgres://u@db.example.com/d?sslmode=require"), "Require");
    }
}
