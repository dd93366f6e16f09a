use crate::store::DatabaseUrl;

/// Where the data is.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// The database: sqlite:///absolute/path.db or sqlite://relative/path.db
    #[arg(long, env = "PORTCULLIS_DATABASE_URL", value_name = "URL")]
    pub database_url: DatabaseUrl,
}
