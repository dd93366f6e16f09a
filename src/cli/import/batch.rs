use bytes::Bytes;
use prost::Message as _;

use crate::pb;

/// What every server takes in one message, with some room for the rest of it.
const MOST_BYTES: usize = 960 * 1024;
const MOST_KEYS: usize = 1000;

/// Keys that are imported by one call.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// Where each stands in the file.
    pub(super) lines: Vec<u64>,
    pub(super) message: Bytes,
}

/// Fills batches.
#[derive(Debug)]
pub(super) struct Filling {
    request: pb::ImportKeysRequest,
    lines: Vec<u64>,
    bytes: usize,
}

impl Filling {
    pub(super) fn new(application_id: String, dry_run: bool) -> Self {
        // Nobody has an answer from before of a key that is new.
        let wait = pb::RevokeWait::Replicas.into();
        let request =
            pb::ImportKeysRequest { application_id, keys: Vec::new(), request_id: String::new(), dry_run, wait };
        Self { request, lines: Vec::new(), bytes: 0 }
    }

    /// Adds a key. Answers the batch before it, where that has no room for it.
    pub(super) fn add(&mut self, line: u64, key: pb::KeyToImport) -> Option<Batch> {
        let size = key.encoded_len() + 8;
        let is_full = self.lines.len() == MOST_KEYS || self.bytes + size > MOST_BYTES;
        let full = if is_full { self.take() } else { None };
        self.lines.push(line);
        self.bytes += size;
        self.request.keys.push(key);
        full
    }

    /// What there is.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.lines.is_empty() {
            return None;
        }
        let message = self.request.encode_to_vec().into();
        self.request.keys.clear();
        self.bytes = 0;
        Some(Batch { lines: std::mem::take(&mut self.lines), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(keys: u64, name: usize) -> Vec<Batch> {
        let mut filling = Filling::new("app_1".to_owned(), false);
        let key = pb::KeyToImport { name: "n".repeat(name), secret_sha256: vec![1; 32], ..Default::default() };
        let mut batches: Vec<_> = (1..=keys).filter_map(|line| filling.add(line, key.clone())).collect();
        batches.extend(filling.take());
        assert!(filling.take().is_none());
        batches
    }

    #[test]
    fn a_batch_has_a_thousand_keys_or_as_many_as_a_message_takes() {
        let sizes = |batches: &[Batch]| batches.iter().map(|batch| batch.lines.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&batches(2500, 10)), [1000, 1000, 500]);
        let large = batches(500, 10_000);
        assert!(large.len() > 4 && large.iter().all(|batch| batch.message.len() < 1024 * 1024));
        let lines: Vec<_> = large.iter().flat_map(|batch| batch.lines.clone()).collect();
        assert_eq!(lines, (1..=500).collect::<Vec<_>>(), "each once, in order");
    }
}
