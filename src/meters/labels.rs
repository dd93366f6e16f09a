//! What things are counted by: each label with all of its values.

use super::reading::Labels;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident, $key:literal: $($(#[$each:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant),+ }

        impl $name {
            pub(super) const LABELS: Labels = Labels { key: $key, values: &[$($text),+] };
        }
    };
}

labels! {
    /// Whether something went well.
    Outcome, "portcullis.outcome": Ok = "ok", Failed = "failed"
}
labels! {
    /// Whom a mutation waited for.
    Waited, "portcullis.wait": Everywhere = "everywhere", Replicas = "replicas"
}
labels! {
    /// What the database answered when it was asked for more of a limit.
    Asked, "portcullis.outcome":
    Granted = "granted",
    /// The window is spent.
    Empty = "empty",
    Failed = "failed",
}
labels! {
    /// Why a connection was closed as too many.
    TooMany, "portcullis.too_many":
    /// All are taken, by those who have proven themselves.
    All = "all",
    /// Its address has all that it may have.
    Address = "of_address",
    /// All are taken, it had proven nothing, and another came.
    GivenUp = "given_up",
}
labels! {
    /// How a notice goes out.
    Channel, "portcullis.channel": Webhook = "webhook", Mail = "mail"
}
labels! {
    /// Why the database may lose what it acknowledged.
    Weak, "portcullis.weakness":
    NoFsync = "fsync_off",
    AsynchronousCommit = "asynchronous_commit",
    AsynchronousStandby = "asynchronous_standby",
    LogicalStandby = "logical_standby",
}
labels! {
    /// How grave a log line is.
    Level, "portcullis.level": Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace"
}
labels! {
    /// Whose a certificate is.
    Certificate, "portcullis.certificate":
    /// The server's own.
    Server = "server",
    /// Of those who sign certificates of clients.
    ClientAuthority = "client_authority",
}
labels! {
    /// What is sent to a collector.
    Signal, "portcullis.signal": Traces = "traces", Metrics = "metrics", Logs = "logs"
}

/// As `domain::verdict` has them, in its order.
pub(super) const VERDICTS: Labels = Labels {
    key: "portcullis.verdict",
    values: &[
        "valid",
        "malformed",
        "not_found",
        "revoked",
        "expired",
        "disabled",
        "environment_not_allowed",
        "permission_missing",
        "ip_not_allowed",
        "referrer_not_allowed",
        "resource_not_allowed",
        "rate_limited",
        "quota_exceeded",
    ],
};
labels! {
    /// Why a log line is not there.
    LeftOut, "portcullis.cause":
    /// Of one kind, in a second.
    Many = "too_many",
    /// Whoever reads the log does not.
    Unread = "unread",
}
