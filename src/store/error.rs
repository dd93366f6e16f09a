use sea_orm::{DbErr, RuntimeErr, sqlx};

use super::said::{is_unfit, said};
use crate::{
    domain::{id::Revision, refusal::Refusal},
    entropy::NoEntropy,
};

/// What can go wrong with the database once it is open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer, or refuses; nothing was written.
    #[error("the database {}: {}", if is_unfit(.0) { "refuses" } else { "does not answer" }, said(.0))]
    Unavailable(DbErr),
    /// It was asked, and did not answer for so long: what was to be written may have been.
    #[error("the database has not answered for {0:?}")]
    Unanswered(std::time::Duration),
    /// So many wait to write that another would wait too long.
    #[error("too many writes are waiting")]
    Overloaded,
    /// COMMIT did not answer: it may have been written.
    #[error("the commit did not answer: {}", said(.0))]
    CommitUnknown(DbErr),
    /// A row that no version of this program wrote.
    #[error("the database holds what it should not: {0}")]
    Corrupt(String),
    /// A replica that has applied less than the log still holds.
    #[error("what was applied has been compacted away")]
    Behind,
    /// It may be written when every replica reads it.
    #[error("events of version {version} are not read by every replica yet; upgrade all of them")]
    OlderReplica { version: i64 },
    /// An event that this program does not read as a whole.
    #[error(
        "event {seq} is of a newer version of portcullis, or none that any version wrote ({what}); use that version"
    )]
    UnknownEvent { seq: i64, what: String },
    /// The log holds, or may hold, events of a newer program.
    #[error("the log holds events of a newer version of portcullis; use that version")]
    NewerEvents,
    /// A commit that the server acknowledges could be lost.
    #[error("the database may lose what it has acknowledged: {0}")]
    Weak(super::Weakness),
    /// It is an older state than one that was there, and nobody has answered for what is lost.
    #[error(
        "the database was restored, and nobody has said which revocations it lost: run `portcullis confirm-restore`"
    )]
    Unconfirmed,
    /// Whoever marks a restore names a revision that the database still holds.
    #[error(
        "the database itself holds revision {holds}, so {lost_to} is not the last one of the history that was lost: give \
         that one (of an answer to RevokeKey, or of portcullis_revision in what is monitored), or leave --lost-to out if nobody knows it"
    )]
    NotLost { lost_to: Revision, holds: Revision },
    /// This replica's own row is gone: somebody else took over.
    #[error("this replica is no longer registered")]
    NotRegistered,
    /// Who numbers these batches of usage is not known any more.
    #[error("the source of usage is forgotten")]
    SourceForgotten,
    /// The log does not continue what was applied.
    #[error("the history is not the one that was applied")]
    Forked,
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// What a job wrote was refused; why is in the log.
    #[error("a write was refused: {0}")]
    Refused(#[from] Box<Refusal>),
    /// The task that did the work ended without an answer.
    #[error("the task was lost: {0}")]
    TaskLost(String),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Type(what) | DbErr::Json(what) => Self::Corrupt(what),
            DbErr::TryIntoErr { .. } => Self::Corrupt(error.to_string()),
            // It was read, and is not what its column says.
            DbErr::Query(RuntimeErr::SqlxError(ref what)) if is_of_a_value(what) => Self::Corrupt(error.to_string()),
            other => Self::Unavailable(other),
        }
    }
}

fn is_of_a_value(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
}

/// The one place where the inside of a database error stops: it is logged here and goes
/// no further, since it may hold SQL and paths.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::error!(%error, "store: {error}");
        match error {
            Error::Unavailable(error) if is_unfit(&error) => Self::StoreUnfit,
            Error::Unavailable(_)
            | Error::Weak(_)
            | Error::NewerEvents
            | Error::NotRegistered
            | Error::SourceForgotten => Self::StoreUnavailable,
            Error::CommitUnknown(_) | Error::Unanswered(_) | Error::TaskLost(_) => Self::CommitUnknown,
            Error::Overloaded => Self::Overloaded,
            Error::OlderReplica { .. } => Self::ReplicaTooOld,
            Error::Corrupt(_) | Error::UnknownEvent { .. } | Error::NotLost { .. } | Error::NoEntropy(_) => {
                Self::Internal
            }
            Error::Unconfirmed => Self::RestoreUnconfirmed,
            Error::Forked | Error::Behind => Self::FreshnessUnproven,
            Error::Refused(refusal) => *refusal,
        }
    }
}

/// Why a database could not be opened. For the operator, so paths are named.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another portcullis; stop that one first ({lock} is its lock)")]
    InUse { path: String, lock: String },
    #[error(
        "{0} has another name beside this one (a hard link): a server that is started by that one would not know of \
         this one; remove the other name, or copy the file with `portcullis backup`"
    )]
    Linked(String),
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("{url}: {error}{}", .error.and_advice())]
    Unreached { url: super::DatabaseUrl, error: super::Unreached },
    #[error("there is no schema here that this role may see: {}", OpenError::MAKE_OR_GRANT)]
    NoSchema,
    #[error("there is no database at {0}; make it with `portcullis migrate`")]
    Missing(String),
    #[error("the schema is older than this program ({pending} migrations to apply); run `portcullis migrate`")]
    NotMigrated { pending: usize },
    #[error(
        "the schema is of a newer version of portcullis (it has {0}); use the version that wrote it, or a newer one"
    )]
    Newer(String),
    #[error(
        "a migration failed, and nothing of it was applied: {}; a schema that was changed by hand, or left half-way by \
         an older version, is put right by the backup from before the upgrade",
        said(.0)
    )]
    Migration(DbErr),
    #[error("this role may not change the schema ({0}): run `portcullis migrate` as the owner of the schema")]
    NotOwner(String),
    #[error("{}", OpenError::ANOTHERS.join(": "))]
    Anothers,
    #[error("{}; {}", .0, .0.advice())]
    Unfit(super::Unfit),
    #[error("{path} is read-only here, and a server writes: check its owner, its mode and how it is mounted")]
    ReadOnly { path: String },
    #[error("{}", said(.0))]
    Database(#[from] DbErr),
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    #[error(transparent)]
    Store(#[from] Error),
}

impl OpenError {
    /// What to do where no schema is seen.
    pub const MAKE_OR_GRANT: &str =
        "run `portcullis migrate` as the owner of the database, or let this role use what it has made";
    /// What is so where the migrations are not Portcullis', and what to do.
    pub const ANOTHERS: [&str; 2] = [
        "the table of migrations here (seaql_migrations) is another program's",
        "give Portcullis a database of its own",
    ];
}
