//! What is written of a report that a key's text was found where it does not belong.

use serde_json::json;

use super::{
    Tx,
    codec::leak_word,
    keys,
    signals::{Claim, Claimed, claim},
};
use crate::domain::{
    key::Key, notice::LeakPolicy, refusal::Refusal, secret::SecretHash, signal::LONG_COOL_DOWN, text::Note,
};

impl Tx {
    /// The key with this text, of whichever application: who has the text need not see it.
    pub async fn key_by_hash(&self, hash: &SecretHash) -> Result<Option<Key>, Refusal> {
        Ok(keys::find_by_hash(&self.inner.db, hash).await?)
    }

    /// Whether the leak is to be told: once a day for what is done about it.
    pub async fn tells_leak(&self, key: &Key, action: LeakPolicy) -> Result<bool, Refusal> {
        let told_before = self.now().saturating_sub(LONG_COOL_DOWN);
        let wish = Claim { subject: key.id, kind: "leaked", detail: leak_word(action), told_before };
        Ok(matches!(claim(&self.inner.db, &wish, self.now()).await?, Claimed::Yes { .. }))
    }

    /// Notes a report for the audit: never the text, nor its hash. It is a revision of its own,
    /// whatever was reported: no revision says whether something followed.
    pub fn report(&self, source: &Note, found: Option<(&Key, Option<LeakPolicy>)>) {
        let key = found.map(|(key, action)| {
            json!({
                "application_id": key.application_id.to_string(),
                "key_id": key.id.to_string(),
                "action": action.map(leak_word),
            })
        });
        let mut notes = self.notes();
        notes.remarks.push(json!({"report": {"source": source.to_string(), "key": key}}));
        notes.numbered = true;
    }
}
