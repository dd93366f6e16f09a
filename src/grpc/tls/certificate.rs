use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, x509::X509Version};

use crate::domain::{
    certificate::{CertificateName, ClientCertificate},
    time::Timestamp,
};

/// What a certificate says of itself.
pub(super) struct About {
    pub(super) begin_time: Timestamp,
    pub(super) end_time: Timestamp,
    pub(super) subject: String,
    /// Whether it may sign others: CA:TRUE. Those of the first version cannot say it.
    pub(super) is_authority: bool,
    pub(super) is_first_version: bool,
    /// Whether a caller could know a server by it: a DNS name, an IP address, or, in a mesh, a URI.
    pub(super) has_name: bool,
}

impl About {
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, certificate) = parse_x509_certificate(der).map_err(|error| error.to_string())?;
        let validity = certificate.validity();
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_seconds(time.timestamp());
        Ok(Self {
            begin_time: time(validity.not_before),
            end_time: time(validity.not_after),
            subject: certificate.subject().to_string(),
            is_authority: certificate.is_ca(),
            is_first_version: certificate.version() == X509Version::V1,
            has_name: has_name(&certificate)?,
        })
    }
}

/// Clients look at subject alternative names alone: rustls, Go and Envoy at nothing else, and the last that go back to a
/// common name (OpenSSL, gRPC's C core) are asked not to by RFC 9525.
fn has_name(certificate: &X509Certificate<'_>) -> Result<bool, String> {
    let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let is_name = |name: &GeneralName<'_>| {
        matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_) | GeneralName::URI(_))
    };
    Ok(names.is_some_and(|names| names.value.general_names.iter().any(is_name)))
}

/// What a certificate says whose chain rustls has checked. Of its names those count that stand in
/// its subject alternative names and could be an account's; its subject counts nothing.
pub(in crate::grpc) fn client_certificate(der: &CertificateDer<'_>) -> Result<ClientCertificate, String> {
    let (_, certificate) = parse_x509_certificate(der).map_err(|error| error.to_string())?;
    let end_time = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
    let alternatives = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::URI(text) => CertificateName::uri(text).ok(),
        GeneralName::DNSName(text) => CertificateName::dns(&text.to_ascii_lowercase()).ok(),
        _ => None,
    };
    let names = alternatives.map_or_else(Vec::new, |found| found.value.general_names.iter().filter_map(name).collect());
    Ok(ClientCertificate { names, end_time })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn only_alternative_names_of_a_known_form_count() {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "common.example.org");
        let ia5 = |text: &str| text.try_into().expect("ASCII");
        params.subject_alt_names = vec![
            SanType::URI(ia5("spiffe://example.org/gateway")),
            SanType::DnsName(ia5("Gateway.example.org")),
            SanType::DnsName(ia5("*.example.org")),
            SanType::URI(ia5("gateway.example.com")),
            SanType::Rfc822Name(ia5("gateway@example.org")),
            SanType::IpAddress([192, 0, 2, 1].into()),
        ];
        let made = params.self_signed(&KeyPair::generate().expect("key")).expect("certificate");
        let names = client_certificate(made.der()).expect("reads").names;
        let names: Vec<_> = names.iter().map(CertificateName::as_str).collect();
        assert_eq!(names, ["spiffe://example.org/gateway", "gateway.example.org"]);
    }
}
