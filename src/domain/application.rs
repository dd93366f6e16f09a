use super::{
    id::{ApplicationId, Revision, Versioned},
    secret::KeyPrefix,
    text::Name,
    time::Timestamp,
};

/// A tenant. Every key belongs to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub id: ApplicationId,
    pub name: Name,
    /// The first part of the keys that are made from now on.
    pub key_prefix: Option<KeyPrefix>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub revision: Revision,
}

/// New values for the fields that an update names.
#[derive(Debug, Clone, Default)]
pub struct ApplicationPatch {
    pub name: Option<Name>,
    /// `Some(None)`: none.
    pub key_prefix: Option<Option<KeyPrefix>>,
}

impl Versioned for Application {
    fn changed_by(&mut self, revision: Revision) {
        self.revision = revision;
    }
}

impl Application {
    /// Whether anything changed.
    pub fn update(&mut self, patch: ApplicationPatch, now: Timestamp) -> bool {
        let before = self.clone();
        if let Some(name) = patch.name {
            self.name = name;
        }
        if let Some(key_prefix) = patch.key_prefix {
            self.key_prefix = key_prefix;
        }
        let changed = *self != before;
        if changed {
            self.update_time = now;
        }
        changed
    }
}
