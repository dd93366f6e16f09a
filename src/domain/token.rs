//! Resume tokens: a place in one history, bound to the applications that were watched.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    event::Position,
    id::{ApplicationId, Revision},
};

const VERSION: u8 = 1;
const LENGTH: usize = 1 + 16 + 8 + 16 + 8 + 4;

/// Not a resume token, or one of other applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResumeTokenRefused {
    #[error("is not a resume token; watch without one, or send one back as it was received")]
    Malformed,
    #[error("is of a watch with other application_ids; send those, or no token")]
    OtherFilter,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeToken {
    /// The history that the place is in.
    pub log_id: Uuid,
    pub position: Position,
    filter: [u8; 8],
}

/// What a token is bound to: going on with more applications would skip their past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterPrint([u8; 8]);

impl FilterPrint {
    /// Of the applications that a watch names, in any order.
    #[must_use]
    pub fn of(applications: &[ApplicationId]) -> Self {
        let mut ids: Vec<_> = applications.iter().map(ToString::to_string).collect();
        ids.sort_unstable();
        ids.dedup();
        let digest: [u8; 32] = Sha256::digest(ids.join(",")).into();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        Self(short)
    }
}

impl ResumeToken {
    #[must_use]
    pub fn new(log_id: Uuid, position: Position, filter: FilterPrint) -> Self {
        Self { log_id, position, filter: filter.0 }
    }

    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.log_id.as_bytes());
        bytes.extend_from_slice(&self.position.revision.number().to_be_bytes());
        bytes.extend_from_slice(self.position.event_id.as_bytes());
        bytes.extend_from_slice(&self.filter);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token of a watch with this filter.
    pub fn parse(text: &str, filter: FilterPrint) -> Result<Self, ResumeTokenRefused> {
        let token = Self::read(text).ok_or(ResumeTokenRefused::Malformed)?;
        if token.filter == filter.0 { Ok(token) } else { Err(ResumeTokenRefused::OtherFilter) }
    }

    /// Whether it is of a watch that names no application.
    #[must_use]
    pub fn names_no_application(&self) -> bool {
        self.filter == FilterPrint::of(&[]).0
    }

    /// Reads a token of whatever watch.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if text.len() > 2 * LENGTH {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (covered, checksum) = bytes.split_last_chunk::<4>()?;
        if bytes.len() != LENGTH || crc32fast::hash(covered).to_be_bytes() != *checksum {
            return None;
        }
        let (version, rest) = covered.split_first()?;
        let (log_id, rest) = rest.split_first_chunk::<16>()?;
        let (revision, rest) = rest.split_first_chunk::<8>()?;
        let (event_id, rest) = rest.split_first_chunk::<16>()?;
        let revision = i64::from_be_bytes(*revision);
        (*version == VERSION && revision >= 0).then_some(())?;
        Some(Self {
            log_id: Uuid::from_bytes(*log_id),
            position: Position { revision: Revision::new(revision), event_id: Uuid::from_bytes(*event_id) },
            filter: rest.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_read_back(log: u128, revision in 0_i64.., event: u128, app: u128) {
            let filter = FilterPrint::of(&[ApplicationId::new(Uuid::from_u128(app))]);
            let position = Position { revision: Revision::new(revision), event_id: Uuid::from_u128(event) };
            let token = ResumeToken::new(Uuid::from_u128(log), position, filter);
            prop_assert_eq!(ResumeToken::parse(&token.encode(), filter), Ok(token));
            prop_assert_eq!(ResumeToken::parse(&token.encode(), FilterPrint::of(&[])), Err(ResumeTokenRefused::OtherFilter));
        }

        #[test]
        fn junk_is_refused_without_a_panic(text in "\\PC{0,150}") {
            prop_assert_eq!(ResumeToken::parse(&text, FilterPrint::of(&[])), Err(ResumeTokenRefused::Malformed));
        }
    }
}
