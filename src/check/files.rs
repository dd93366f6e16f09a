use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tokio_rustls::rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

use super::Finding;
use crate::domain::time::Timestamp;

/// Before its end, so that somebody can do something.
const SOON: i64 = 14 * 24 * 3600;

/// A file that its owner alone should read.
#[must_use]
pub fn private_file(of: &'static str, path: &Path) -> Finding {
    let name = path.display();
    match fs::File::open(path).and_then(|file| file.metadata()) {
        Err(error) => Finding::fail(of, format!("cannot read {name}: {error}"), "name a file that this user may read"),
        Ok(data) if !data.is_file() => Finding::fail(of, format!("{name} is no file"), "name a file"),
        Ok(data) if data.permissions().mode() & 0o077 != 0 => {
            let mode = data.permissions().mode() & 0o777;
            Finding::warn(of, format!("others may read {name}: its mode is {mode:04o}"), format!("chmod 600 {name}"))
        }
        Ok(_) => Finding::ok(of, format!("{name} is readable by its owner only")),
    }
}

/// A certificate chain, and whether the key is its own.
#[must_use]
pub fn certificate(certificate: &Path, key: &Path, now: Timestamp) -> Vec<Finding> {
    const OF: &str = "certificate";
    const PEM: &str =
        "give a PEM file whose first certificate is this server's own, and those that issued it behind it";
    let name = certificate.display();
    let chain = match fs::read(certificate) {
        Ok(pem) => CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap_or_default(),
        Err(error) => {
            return vec![Finding::fail(
                OF,
                format!("cannot read {name}: {error}"),
                "name a file that this user may read",
            )];
        }
    };
    let Some(own) = chain.first() else {
        return vec![Finding::fail(OF, format!("{name} holds no certificate in PEM"), PEM)];
    };
    let mut found = vec![expiry(OF, &name.to_string(), own, now)];
    let loaded = private_file("private key", key);
    let is_read = loaded.level != super::Level::Fail;
    found.push(loaded);
    if is_read {
        found.push(match PrivateKeyDer::from_pem_file(key) {
            Err(_) => Finding::fail(
                "private key",
                format!("{} holds no key in PEM", key.display()),
                "give the key that the certificate was made for",
            ),
            Ok(key) => pair(chain, key),
        });
    }
    found
}

fn pair(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Finding {
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(_) => Finding::ok("private key", "it is the certificate's own"),
        Err(error) => Finding::fail(
            "private key",
            format!("it does not go with the certificate: {error}"),
            "give the key that the certificate was made for",
        ),
    }
}

fn expiry(of: &'static str, name: &str, own: &CertificateDer<'_>, now: Timestamp) -> Finding {
    const RENEW: &str = "renew it, and put the new one in its place";
    let Ok((_, parsed)) = parse_x509_certificate(own) else {
        return Finding::fail(of, format!("{name} holds what is no certificate"), RENEW);
    };
    let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    let until_text = Timestamp::from_seconds(until);
    let left = until.saturating_sub(now.seconds());
    if now.seconds() < from {
        let said = format!("{name} is not good before {}", Timestamp::from_seconds(from));
        Finding::fail(of, said, "look at this machine's clock, or wait")
    } else if left <= 0 {
        Finding::fail(of, format!("{name} expired at {until_text}"), RENEW)
    } else if left < SOON {
        Finding::warn(of, format!("{name} expires in {} days, at {until_text}", left / 86_400), RENEW)
    } else {
        Finding::ok(of, format!("{name} is good until {until_text}"))
    }
}
