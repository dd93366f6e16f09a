use std::collections::HashMap;

use super::{Seen, Signals};
use crate::{
    domain::{
        id::KeyId,
        signal::{Finding, Minute, Sign},
        time::Timestamp,
    },
    index::Index,
};

/// The keys that had refused calls within the last minute.
#[derive(Debug, Default)]
pub(super) struct Windows {
    keys: HashMap<KeyId, Minute>,
    /// Up to when they were taken.
    taken: Option<Timestamp>,
}

impl Windows {
    /// A key that was refused for the first time since the last look.
    pub(super) fn open(&mut self, key: KeyId) {
        self.keys.entry(key).or_default();
    }

    /// Takes the refused calls since the last look, and answers whose are too many.
    pub(super) fn look(&mut self, signals: &Signals, index: &Index, now: Timestamp) -> Vec<Finding> {
        let since = self.taken.replace(now).unwrap_or(now);
        let keys = signals.shared.keys.pin();
        let mut found = Vec::new();
        self.keys.retain(|key_id, minute| {
            let Some(seen) = keys.get(key_id) else { return false };
            let taken = seen.take_denied();
            minute.add(taken.into(), since, now);
            let denied = minute.calls(now);
            if taken > 0 && denied >= most(seen, index) {
                let Seen { application_id, chain, .. } = *seen;
                found.push(Finding { application_id, key_id: *key_id, chain, sign: Sign::Denied(denied) });
            }
            denied > 0
        });
        found
    }
}

fn most(seen: &Seen, index: &Index) -> u64 {
    let application = index.application(seen.application_id);
    application.map(|application| application.alert_thresholds).unwrap_or_default().denied_per_minute().into()
}
