use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};

/// What the collector asks for with each export: `NAME=VALUE,NAME=VALUE`, values percent-encoded, as
/// OTEL_EXPORTER_OTLP_HEADERS has it. The exporters of traces and logs read that by themselves.
#[derive(Clone, Default)]
pub(super) struct Headers(Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

impl Headers {
    /// What does not read as a header is left out, as those exporters do.
    pub(super) fn read(text: Option<&SecretString>) -> Self {
        let pairs = text.map_or("", |text| text.expose_secret()).split(',').filter_map(|pair| pair.split_once('='));
        let header = |(name, value): (&str, &str)| {
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
            let mut value: MetadataValue<Ascii> = value.parse().ok()?;
            value.set_sensitive(true);
            Some((name.trim().to_ascii_lowercase().parse().ok()?, value))
        };
        Self(pairs.filter_map(header).collect())
    }

    pub(super) fn apply(&self, metadata: &mut MetadataMap) {
        for (name, value) in &self.0 {
            metadata.insert(name.clone(), value.clone());
        }
    }
}

/// Not their values.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_other_exporters_read_them_and_are_not_shown() {
        let text = SecretString::from("api-key=s%3Dcret, X-Tenant = a ,nonsense,b\u{e9}d=x");
        let headers = Headers::read(Some(&text));
        let mut metadata = MetadataMap::new();
        headers.apply(&mut metadata);
        assert_eq!((metadata.len(), metadata.get("api-key").expect("there")), (2, &"s=cret".parse().expect("value")));
        assert_eq!(metadata.get("x-tenant").expect("there"), "a");
        assert!(!format!("{headers:?} {metadata:?}").contains("cret"));
    }
}
