//! Certificates, the files that they are in, and connections that show them.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use portcullis::grpc::Tls;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::Server;

/// Signs certificates.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate with these names: what holds `://` is a URI.
    pub(crate) fn signs(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::default();
        let name = |name: &&str| {
            let ia5 = (*name).try_into().expect("ASCII");
            if name.contains("://") { SanType::URI(ia5) } else { SanType::DnsName(ia5) }
        };
        params.subject_alt_names = names.iter().map(name).collect();
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate").pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn server(&self) -> Pair {
        self.signs(&["localhost"], |_| {})
    }
}

pub(crate) fn over(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2026, 1, 1);
}

/// A folder with the files that a server is told of.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) ca: String,
}

impl Folder {
    /// A server's files, with clients of the same authority.
    pub(crate) fn of(authority: &Authority) -> Self {
        let folder = Self { folder: tempfile::tempdir().expect("folder"), ca: authority.pem.clone() };
        folder.put(&authority.server());
        folder.write("ca.pem", &authority.pem);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("write");
    }

    pub(crate) fn put(&self, pair: &Pair) {
        self.write("tls.crt", &pair.certificate);
        self.write("tls.key", &pair.key);
    }

    pub(crate) fn tls(&self) -> Tls {
        Tls {
            certificate: self.path("tls.crt"),
            key: self.path("tls.key"),
            client_ca: None,
            client_required: false,
            look_every: Duration::from_millis(50),
        }
    }

    pub(crate) fn mutual(&self) -> Tls {
        Tls { client_ca: Some(self.path("ca.pem")), ..self.tls() }
    }
}

/// How a caller comes to a server with TLS.
pub(crate) fn endpoint(url: String, ca: &str, identity: Option<&Pair>) -> Endpoint {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).domain_name("localhost");
    if let Some(pair) = identity {
        tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
    }
    Channel::from_shared(url).expect("url").tls_config(tls).expect("TLS")
}

impl Server {
    /// A connection that is made now, and shows a certificate.
    pub(crate) async fn tls_channel(&self, identity: Option<&Pair>) -> Result<Channel, tonic::transport::Error> {
        let folder = self.setup.folder.as_ref().expect("a server with TLS");
        endpoint(self.running().endpoint(), &folder.ca, identity).connect().await
    }

    /// What the server shows at a handshake now.
    pub(crate) async fn shown_certificate(&self) -> Vec<u8> {
        use tokio_rustls::rustls;
        let mut roots = rustls::RootCertStore::empty();
        let folder = self.setup.folder.as_ref().expect("a server with TLS");
        let ca = pem_der(&folder.ca);
        roots.add(ca.into()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = tokio::net::TcpStream::connect(self.running().address()).await.expect("connect");
        let name = "localhost".try_into().expect("a name");
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("handshake");
        stream.get_ref().1.peer_certificates().expect("certificates")[0].to_vec()
    }
}

/// The first block of a PEM.
pub(crate) fn pem_der(pem: &str) -> Vec<u8> {
    use base64::Engine as _;
    let lines: String = pem.lines().skip(1).take_while(|line| !line.starts_with("-----")).collect();
    base64::prelude::BASE64_STANDARD.decode(lines).expect("base64")
}
