use crate::{
    grpc::ListenRefused,
    notify::SettingsRefused,
    replica::Stopped,
    signing::PublicKeyRefused,
    store::{Error, OpenError, Weakness},
};

/// Why a server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Listen(#[from] ListenRefused),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}; or serve with --durability=relaxed, and live with lost revocations")]
    Weak(Weakness),
    #[error("this replica cannot serve any more: {0}")]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Notify(#[from] SettingsRefused),
    #[error("the built-in decoy key: {0}")]
    Decoy(#[from] PublicKeyRefused),
    #[error("a part of the server ended unexpectedly: {0}")]
    Lost(String),
}

impl ServeError {
    /// Whether a server that had begun may begin anew a little later: the database may be on its way back.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Open(_) | Self::Lost(_) => true,
            Self::Stopped(stopped) => matches!(stopped, Stopped::Hindered(_) | Stopped::Store(Error::Unanswered(_))),
            _ => false,
        }
    }
}
