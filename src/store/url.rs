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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error(
        "the PostgreSQL URL names more than one host: name one that always leads to the primary, such as an address that \
         moves with it"
    )]
    Hosts,
    #[error(
        "the PostgreSQL URL has a parameter that is not known here: {0}; there are {all}",
        all = PARAMETERS.join(", ")
    )]
    Parameter(String),
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
        refuse(text)?;
        let options: PgConnectOptions = text.parse().map_err(|_| DatabaseUrlInvalid::Postgres)?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(DatabaseUrlInvalid::NoDatabase);
        }
        Ok(Self(Place::Postgres(SecretString::from(text))))
    }
}

/// All that the driver knows.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The driver takes several hosts for the name of one, and passes over a parameter that it does not know.
fn refuse(text: &str) -> Result<(), DatabaseUrlInvalid> {
    let behind = text.split_once("://").map_or("", |(_, behind)| behind);
    let (authority, rest) = behind.split_at(behind.find(['/', '?', '#']).unwrap_or(behind.len()));
    // An @ there is of a password that has a / or ? in it as it is: nothing of it is repeated.
    let is_cut = rest.contains('@');
    if authority.rsplit('@').next().is_some_and(|hosts| hosts.contains(',')) && !is_cut {
        return Err(DatabaseUrlInvalid::Hosts);
    }
    let url = Url::parse(text).map_err(|_| DatabaseUrlInvalid::Postgres)?;
    if url.path().contains('@') {
        return Err(DatabaseUrlInvalid::Postgres);
    }
    let mut has_password = false;
    for (name, value) in url.query_pairs() {
        has_password |= name == "password";
        if name.starts_with("host") && !value.starts_with('/') && value.contains(',') {
            return Err(DatabaseUrlInvalid::Hosts);
        }
        let is_known = PARAMETERS.contains(&&*name) || (name.starts_with("options[") && name.ends_with(']'));
        if !is_known && (is_cut || has_password) {
            // It may be what a password has behind an &.
            return Err(DatabaseUrlInvalid::Postgres);
        } else if !is_known {
            return Err(DatabaseUrlInvalid::Parameter(name.into_owned()));
        }
    }
    Ok(())
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
    fn a_parameter_that_would_be_passed_over_and_a_second_host_are_refused() {
        let parameter = |name: &str| DatabaseUrlInvalid::Parameter(name.to_owned());
        assert_eq!(refused("postgres://u:p@h/d?sslmode=require&sslmod=x"), parameter("sslmod"));
        assert_eq!(refused("postgres://u@h/d?target_session_attrs=read-write"), parameter("target_session_attrs"));
        for several in ["postgres://u:p@a,b/d", "postgres://u:p@a:1,b:2/d", "postgres://u@a/d?host=a,b"] {
            assert_eq!(refused(several), DatabaseUrlInvalid::Hosts, "{several}");
        }
        for secret in [
            "postgres://u@h/d?password=x&hunter2=y",
            "postgres://u:1?hunter2=x@h/d",
            "postgres://u:a,b/c@h/d",
            "postgres://u:p@ss?word@h/d",
            "postgres://u:p@ss/word@h/d",
        ] {
            assert_eq!(refused(secret), DatabaseUrlInvalid::Postgres, "{secret}");
        }
        let all = PARAMETERS.iter().filter(|name| !name.starts_with("ssl") || **name == "sslmode");
        let value = |name: &str| match name {
            "sslmode" => "require",
            "hostaddr" => "127.0.0.1",
            "port" | "statement-cache-capacity" => "1",
            _ => "x",
        };
        for name in all {
            let url = format!("postgres://u:a,b@h/d?{name}={}&options[lock_timeout]=1", value(name));
            assert!(url.parse::<DatabaseUrl>().is_ok(), "{url}");
        }
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
