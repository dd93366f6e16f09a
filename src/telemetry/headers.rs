use std::str::FromStr;

use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};

use super::InvalidSetting;

/// What the collector asks for with each export: `NAME=VALUE,NAME=VALUE`, values percent-encoded, as
/// OTEL_EXPORTER_OTLP_HEADERS has it. The exporters of traces and logs would read that variable by themselves, and
/// leave out in silence what does not read: here it is refused.
#[derive(Clone, Default)]
pub struct OtlpHeaders(Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

impl FromStr for OtlpHeaders {
    type Err = InvalidSetting;

    /// What is refused is named by its place: a name may be a secret that was put there by mistake.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pairs = text.split(',').map(str::trim).enumerate().filter(|(_, pair)| !pair.is_empty());
        let refused = |at: usize, why: &str| InvalidSetting::new(format!("header {}: {why}", at + 1));
        pairs.map(|(at, pair)| header(pair).map_err(|why| refused(at, why))).collect::<Result<_, _>>().map(Self)
    }
}

fn header(pair: &str) -> Result<(MetadataKey<Ascii>, MetadataValue<Ascii>), &'static str> {
    let (name, value) = pair.split_once('=').ok_or("no \"=\"; write NAME=VALUE,NAME=VALUE, with %2C for a comma")?;
    let name = name.trim().to_ascii_lowercase().parse().map_err(|_| "what is before its \"=\" is no header's name")?;
    if value.trim().is_empty() {
        return Err("its value is empty");
    }
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok();
    let value: Option<MetadataValue<Ascii>> = value.and_then(|value| value.parse().ok());
    let mut value = value.ok_or("its value is not of printable ASCII characters")?;
    value.set_sensitive(true);
    Ok((name, value))
}

impl OtlpHeaders {
    pub(super) fn metadata(&self) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        self.apply(&mut metadata);
        metadata
    }

    pub(super) fn apply(&self, metadata: &mut MetadataMap) {
        for (name, value) in &self.0 {
            metadata.insert(name.clone(), value.clone());
        }
    }
}

/// Not their values.
impl std::fmt::Debug for OtlpHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_other_exporters_read_them_and_are_not_shown() {
        let headers: OtlpHeaders = "api-key=s%3Dcret, X-Tenant = a ,,".parse().expect("headers");
        let metadata = headers.metadata();
        assert_eq!((metadata.len(), metadata.get("api-key").expect("there")), (2, &"s=cret".parse().expect("value")));
        assert_eq!(metadata.get("x-tenant").expect("there"), "a");
        assert!(!format!("{headers:?} {metadata:?}").contains("cret"));
    }

    #[test]
    fn what_the_other_exporters_would_leave_out_is_refused_by_its_place_and_not_repeated() {
        for (text, said) in [
            ("hunter2", "header 1: no \"=\""),
            ("a=b,hunter2", "header 2: no \"=\""),
            ("api key=hunter2", "header 1: what is before"),
            ("b\u{e9}d=hunter2", "header 1: what is before"),
            ("=hunter2", "header 1: what is before"),
            ("a=b,api-key= ", "header 2: its value is empty"),
            ("hunter2=", "header 1: its value is empty"),
            ("a=hunter2%0A", "header 1: its value"),
            ("a=hunter2%FF", "header 1: its value"),
        ] {
            let refused = text.parse::<OtlpHeaders>().expect_err(text).to_string();
            assert!(refused.starts_with(said) && !refused.contains("hunter2"), "{text}: {refused}");
        }
    }
}
