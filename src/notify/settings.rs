use std::{path::Path, time::Duration};

use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{mail, reach::Reach, vault::Vault};

/// How to tell.
#[derive(Debug, Clone)]
pub struct Settings {
    pub vault: Vault,
    pub reach: Reach,
    /// Certificates to believe besides the system's.
    pub roots: Vec<CertificateDer<'static>>,
    /// None: no mail.
    pub mail: Option<mail::Settings>,
    /// How often to look for what is due, where nobody rings.
    pub every: Duration,
}

/// Why a setting is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingsRefused {
    #[error(transparent)]
    Keys(#[from] super::vault::KeysRefused),
    #[error("cannot read {path}: {error}")]
    Unreadable { path: String, error: std::io::Error },
    #[error("{0} holds no certificate in PEM")]
    NoCertificate(String),
    #[error(transparent)]
    Mailer(#[from] mail::MailerRefused),
}

impl Settings {
    /// How often a server looks.
    pub const EVERY: Duration = Duration::from_millis(500);

    /// The certificates of a file, PEM.
    pub fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, SettingsRefused> {
        let unreadable = |error| SettingsRefused::Unreadable { path: path.display().to_string(), error };
        let pem = std::fs::read(path).map_err(unreadable)?;
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let roots = roots.ok().filter(|roots| !roots.is_empty());
        roots.ok_or_else(|| SettingsRefused::NoCertificate(path.display().to_string()))
    }
}
