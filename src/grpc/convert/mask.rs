use crate::domain::refusal::Violations;

/// Which fields an update names (AIP-134, AIP-161).
#[derive(Debug)]
pub(in crate::grpc) enum Mask {
    /// No mask: whatever is not at its default.
    Populated,
    /// `*`
    All,
    Paths(Vec<String>),
}

impl Mask {
    /// Reads a mask over `fields`; every other path is a violation.
    pub(in crate::grpc) fn read(
        mask: Option<prost_types::FieldMask>,
        fields: &[&str],
        violations: &mut Violations,
    ) -> Self {
        let paths = mask.map(|mask| mask.paths).unwrap_or_default();
        if paths.is_empty() {
            return Self::Populated;
        }
        if paths.iter().any(|path| path == "*") {
            if paths.len() > 1 {
                violations.add("update_mask", "`*` stands alone");
            }
            return Self::All;
        }
        if paths.len() > 64 {
            violations.add("update_mask", format!("has {} paths", paths.len()));
        }
        for (at, _) in paths.iter().take(64).enumerate().filter(|(_, path)| !fields.contains(&path.as_str())) {
            // By its place: a text that is no field's name may be a secret, and this goes to the log.
            violations.add("update_mask", format!("paths[{at}] cannot be updated; these can: {}", fields.join(", ")));
        }
        Self::Paths(paths)
    }

    /// The new value of a field, if the update names it.
    pub(in crate::grpc) fn pick<T>(&self, path: &str, populated: bool, value: impl FnOnce() -> T) -> Option<T> {
        let named = match self {
            Self::Populated => populated,
            Self::All => true,
            Self::Paths(paths) => paths.iter().any(|named| named == path),
        };
        named.then(value)
    }
}
