//! What TLS goes by: files to what tonic takes, or to words that say which of them is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::{ConnectFailed, causes};
use crate::client::private_file;

/// How to know the server, and what to show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM certificates to trust, and no others. None: those of the operating system.
    pub ca_cert: Option<PathBuf>,
    /// The name that the certificate must hold. None: the endpoint's host.
    pub server_name: Option<String>,
    /// What is shown to a server that asks for one.
    pub client: Option<ClientCertificate>,
}

/// Files in PEM, which are of use only together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and then those between it and an authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const KEY: &str = "PRIVATE KEY-----";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

impl Tls {
    pub(super) fn of(&self, endpoint: Endpoint) -> Result<Endpoint, ConnectFailed> {
        let config = self.config()?;
        let Some(client) = &self.client else { return with(endpoint, config) };
        let identity = client.read()?;
        // What is wrong with the rest is not said of the client's files.
        with(endpoint.clone(), config.clone())?;
        endpoint.tls_config(config.identity(identity)).map_err(|e| client.refused(&causes(&e)))
    }

    fn config(&self) -> Result<ClientTlsConfig, ConnectFailed> {
        let mut config = ClientTlsConfig::new();
        config = match &self.ca_cert {
            None => config.with_native_roots(),
            Some(path) => config.ca_certificate(Certificate::from_pem(certificate(path, "the CA certificate")?)),
        };
        Ok(match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
        })
    }
}

fn with(endpoint: Endpoint, config: ClientTlsConfig) -> Result<Endpoint, ConnectFailed> {
    endpoint.tls_config(config).map_err(|e| ConnectFailed::Config(causes(&e)))
}

/// An empty list would be told only by a handshake that fails.
fn certificate(path: &Path, what: &str) -> Result<String, ConnectFailed> {
    let name = path.display();
    match fs::read_to_string(path) {
        Err(e) => Err(ConnectFailed::Config(format!("cannot read {what} {name}: {e}"))),
        Ok(pem) if pem.contains(CERTIFICATE) => Ok(pem),
        Ok(pem) if pem.contains(KEY) => Err(ConnectFailed::Config(format!(
            "{name} holds no certificate in PEM, but a private key: are the certificate and the key swapped?"
        ))),
        Ok(_) => Err(ConnectFailed::Config(format!("{name} holds no certificate in PEM"))),
    }
}

impl ClientCertificate {
    fn read(&self) -> Result<Identity, ConnectFailed> {
        let pem = certificate(&self.certificate, "the client certificate")?;
        let path = self.key.display();
        let refused = |why: &str| ConnectFailed::Config(format!("{path} {why}"));
        let key = private_file::read(&self.key, "key of the client certificate")
            .map_err(|e| ConnectFailed::Config(format!("cannot read the key of the client certificate {path}: {e}")))?
            .ok_or_else(|| refused("is larger than 64 KiB, so not a private key"))?;
        if key.contains(ENCRYPTED) {
            Err(refused(
                "holds a private key that is encrypted, and nobody is asked for its password: `openssl pkey -in FILE -out FILE` decrypts it",
            ))
        } else if key.contains(KEY) {
            Ok(Identity::from_pem(pem, key.as_bytes()))
        } else if key.contains(CERTIFICATE) {
            Err(refused("holds no private key in PEM, but a certificate: are the certificate and the key swapped?"))
        } else {
            Err(refused("holds no private key in PEM"))
        }
    }

    fn refused(&self, why: &str) -> ConnectFailed {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        // rustls has no other way to say it through tonic.
        ConnectFailed::Config(if why.contains("KeyMismatch") {
            format!(
                "the key in {key} is not the key of the first certificate in {certificate}: take those that belong together, the \
                 client's own certificate first"
            )
        } else {
            format!("the client certificate in {certificate} and its key in {key} are not usable: {why}")
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::client::connect;

    async fn refused(endpoint: &str, tls: Tls) -> String {
        let refused = connect(&endpoint.parse().expect("endpoint"), &tls).await.expect_err("refused");
        assert!(matches!(refused, ConnectFailed::Config(_)), "{refused}");
        refused.to_string()
    }

    #[tokio::test]
    async fn tls_settings_without_tls_are_refused() {
        let client = Some(ClientCertificate { certificate: "a.pem".into(), key: "a.key".into() });
        let name = Some("a".to_owned());
        for tls in [Tls { server_name: name, ..Tls::default() }, Tls { client, ..Tls::default() }] {
            let refused = refused("http://127.0.0.1:1", tls).await;
            assert!(refused.contains("are for https://, and the endpoint is http://127.0.0.1:1"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_ca_file_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let tls = Tls { ca_cert: Some(file.path().to_owned()), ..Tls::default() };
        let refused = refused("https://127.0.0.1:1", tls).await;
        assert!(refused.ends_with("holds no certificate in PEM"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_files_of_a_client_certificate_is_said_of_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| fs::write(at(name), text).expect("write");
        let key = KeyPair::generate().expect("key");
        let made = CertificateParams::new(["a".to_owned()]).expect("name").self_signed(&key).expect("certificate");
        write("good.pem", &made.pem());
        write("good.key", &key.serialize_pem());
        write("other.key", &KeyPair::generate().expect("key").serialize_pem());
        write("encrypted.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n");
        write("broken.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
        write("text", "good morning");
        write("large.key", &"x".repeat(70_000));
        for (certificate, key, says) in [
            ("gone.pem", "good.key", "cannot read the client certificate "),
            ("good.pem", "gone.key", "cannot read the key of the client certificate "),
            ("text", "good.key", "holds no certificate in PEM"),
            ("good.pem", "text", "holds no private key in PEM"),
            ("good.key", "good.pem", "are the certificate and the key swapped?"),
            ("good.pem", "good.pem", "holds no private key in PEM, but a certificate"),
            ("good.pem", "encrypted.key", "is encrypted"),
            ("good.pem", "large.key", "is larger than 64 KiB"),
            ("broken.pem", "good.key", "are not usable: "),
            ("good.pem", "other.key", "is not the key of the first certificate in "),
        ] {
            let client = Some(ClientCertificate { certificate: at(certificate), key: at(key) });
            let refused =
                refused("https://127.0.0.1:1", Tls { client, ca_cert: Some(at("good.pem")), ..Tls::default() });
            let refused = refused.await;
            assert!(refused.contains(says) && !refused.contains("PRIVATE KEY-----"), "{certificate} {key}: {refused}");
        }
    }
}
