//! Which key is meant.

use clap::Args;

use crate::{
    cli::{
        failure::Failure,
        people::{AppArgs, Session},
    },
    pb,
};

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// The id of the key, key_…, or its name where no other key of the application has it
    #[arg(value_name = "KEY")]
    key: String,

    #[command(flatten)]
    app: AppArgs,
}

/// A key, and whether it was named by its id.
pub(super) struct Named {
    pub(super) application_id: String,
    pub(super) key_id: String,
    pub(super) by_id: bool,
}

const ID: &str = "key_";
/// Names are looked for in so many pages; who has more keys of one name's beginning gives the id.
const PAGES: usize = 10;

impl KeyArgs {
    pub(super) fn new(key: String, app: AppArgs) -> Self {
        Self { key, app }
    }

    /// Before anything is asked of the server.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if looks_secret(&self.key) {
            return Err(Failure::usage(
                "this is the text of a key, which is now in the list of processes and in the shell's history: rotate it, and \
                 name a key by its id, key_…",
            ));
        }
        Ok(())
    }

    pub(super) async fn find(self, session: &Session) -> Result<Named, Failure> {
        let application_id = self.app.id()?;
        if self.key.starts_with(ID) {
            return Ok(Named { application_id, key_id: self.key, by_id: true });
        }
        let mut found = named(session, &application_id, &self.key).await?;
        match (found.pop(), found.len()) {
            (Some(key_id), 0) => Ok(Named { application_id, key_id, by_id: false }),
            (None, _) => Err(Failure::Failed(format!(
                "no key of {application_id} is named `{}`, among those that are not revoked: `portcullis key list` shows them",
                self.key
            ))),
            (Some(last), _) => Err(Failure::Failed(format!(
                "several keys are named `{}`: give the id of one, {} or {last}",
                self.key,
                found.join(", ")
            ))),
        }
    }
}

/// A successor has the name of the key that it was rotated from: the name is the newest one's.
fn is_named(key: &pb::Key, name: &str) -> bool {
    key.name == name && key.rotated_to.is_empty()
}

/// Those of exactly this name.
async fn named(session: &Session, application_id: &str, name: &str) -> Result<Vec<String>, Failure> {
    let mut request = pb::ListKeysRequest {
        application_id: application_id.to_owned(),
        name_prefix: name.to_owned(),
        page_size: 1000,
        ..Default::default()
    };
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let page: pb::ListKeysResponse = session.read("KeyService/ListKeys", &request).await?.message;
        found.extend(page.keys.into_iter().filter(|key| is_named(key, name)).map(|key| key.key_id));
        if page.next_page_token.is_empty() {
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
    Err(Failure::Failed(format!("too many keys begin with `{name}` to look through: give the id of the key")))
}

impl Named {
    pub(super) async fn get(&self, session: &Session) -> Result<pb::Key, Failure> {
        let request = pb::GetKeyRequest { application_id: self.application_id.clone(), key_id: self.key_id.clone() };
        let answer: pb::GetKeyResponse = session.read("KeyService/GetKey", &request).await?.message;
        answer.key.ok_or_else(|| Failure::Failed("the server's answer has no key: is it another version?".to_owned()))
    }

    /// What ends for good is named by its id, or asked about.
    pub(super) fn must_be_sure(&self, will_ask: bool) -> Result<(), Failure> {
        if self.by_id || will_ask {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "a name may be another key's tomorrow: with --yes, give the id, which is {} today",
            self.key_id
        )))
    }
}

/// `key_… (deploy bot, sk_live_Ab12Cd)`.
pub(super) fn described(key: &pb::Key) -> String {
    format!("{} ({}, {}…)", key.key_id, key.name, key.prefix)
}

/// `sk_live_…` with a text of its own length, and not only the prefix that lists show.
fn looks_secret(text: &str) -> bool {
    let body = ["sk_live_", "sk_test_", "pk_live_", "pk_test_"]
        .iter()
        .find_map(|kind| text.split_once(kind))
        .map(|(_, body)| body);
    body.is_some_and(|body| body.len() > 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_key_is_told_from_its_prefix_and_from_an_id() {
        assert!(looks_secret("sk_live_ad7ktsUluj1GQkzBBp45JpJt7fdGnmnnimwJrrdl8KC0GqRcc"));
        assert!(looks_secret("acme_pk_test_ad7ktsUluj1GQkzBBp45JpJt7fdGnmnnimwJrrdl8KC0GqRcc"));
        for text in ["sk_live_ad7kts", "key_0351EJENWPP2d5NoRNjaGc", "deploy bot"] {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
