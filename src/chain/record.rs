use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// SHA-256.
pub type Hash = [u8; 32];

/// What the first event has before it.
pub const BEGIN: Hash = [0; 32];

/// First of what is hashed, so that no hash of anything else is one of an event. The last
/// byte is the version of the encoding.
const DOMAIN: &[u8] = b"PORTCULLIS-AUDIT-EVENT\x01";

/// An event of the audit log, in the letters in which it is stored: all of it but its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place: 1 is the first, and there are no gaps.
    pub seq: i64,
    pub audit_id: Uuid,
    /// Microseconds since the Unix epoch.
    pub time: i64,
    pub revision: Option<i64>,
    pub service_account_id: Option<String>,
    pub kid: Option<String>,
    pub method: String,
    pub request_id: String,
    pub peer: String,
    pub outcome: String,
    pub application_id: Option<String>,
    pub resource: Option<String>,
    /// JSON, never read back: its letters are hashed as they are.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// An event and its place in the chain, as somebody says they are. Hashes of any length: what
/// was edited may hold anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub record: Record,
    /// The hash of the event before it.
    pub previous: Vec<u8>,
    pub hash: Vec<u8>,
}

impl Record {
    /// The hash of this event behind the one whose hash is `previous`.
    #[must_use]
    pub fn hash(&self, previous: &[u8]) -> Hash {
        Sha256::digest(self.encode(previous)).into()
    }

    /// Every field in a fixed order: numbers in 8 bytes, what may be absent behind a byte that
    /// says whether it is, and whatever has a length behind that length. So no two events
    /// share an encoding.
    fn encode(&self, previous: &[u8]) -> Vec<u8> {
        let Self {
            seq,
            audit_id,
            time,
            revision,
            service_account_id,
            kid,
            method,
            request_id,
            peer,
            outcome,
            application_id,
            resource,
            before,
            after,
        } = self;
        let mut to = DOMAIN.to_vec();
        put(&mut to, previous);
        to.extend(seq.to_be_bytes());
        to.extend(audit_id.as_bytes());
        to.extend(time.to_be_bytes());
        put_if(&mut to, revision.map(i64::to_be_bytes));
        put_if(&mut to, service_account_id.as_deref());
        put_if(&mut to, kid.as_deref());
        for text in [method, request_id, peer, outcome] {
            put(&mut to, text.as_bytes());
        }
        for text in [application_id, resource, before, after] {
            put_if(&mut to, text.as_deref());
        }
        to
    }
}

/// How a hash is shown.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u64).to_be_bytes());
    to.extend(bytes);
}

fn put_if(to: &mut Vec<u8>, bytes: Option<impl AsRef<[u8]>>) {
    match bytes {
        Some(bytes) => {
            to.push(1);
            put(to, bytes.as_ref());
        }
        None => to.push(0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::*;

    /// Reads what `encode` wrote: that it can be read back is that no two share an encoding.
    struct Reader<'a>(&'a [u8]);

    impl Reader<'_> {
        fn take(&mut self, count: usize) -> Vec<u8> {
            let (taken, rest) = self.0.split_at(count);
            self.0 = rest;
            taken.to_vec()
        }

        fn number(&mut self) -> i64 {
            i64::from_be_bytes(self.take(8).try_into().expect("8 bytes"))
        }

        fn bytes(&mut self) -> Vec<u8> {
            let length = usize::try_from(self.number()).expect("a length");
            self.take(length)
        }

        fn text(&mut self) -> String {
            String::from_utf8(self.bytes()).expect("text")
        }

        fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
            match self.take(1)[0] {
                0 => None,
                1 => Some(read(self)),
                other => panic!("{other}"),
            }
        }
    }

    fn decode(bytes: &[u8]) -> (Vec<u8>, Record) {
        let mut from = Reader(bytes);
        assert_eq!(from.take(DOMAIN.len()), DOMAIN);
        let previous = from.bytes();
        let record = Record {
            seq: from.number(),
            audit_id: Uuid::from_slice(&from.take(16)).expect("16 bytes"),
            time: from.number(),
            revision: from.maybe(|from| i64::from_be_bytes(from.bytes().try_into().expect("8 bytes"))),
            service_account_id: from.maybe(Reader::text),
            kid: from.maybe(Reader::text),
            method: from.text(),
            request_id: from.text(),
            peer: from.text(),
            outcome: from.text(),
            application_id: from.maybe(Reader::text),
            resource: from.maybe(Reader::text),
            before: from.maybe(Reader::text),
            after: from.maybe(Reader::text),
        };
        assert!(from.0.is_empty(), "and nothing behind it");
        (previous, record)
    }

    fn record() -> impl Strategy<Value = Record> {
        let numbers = (any::<i64>(), any::<u128>(), any::<i64>(), option::of(any::<i64>()));
        let maybe = || option::of(".{0,6}");
        let who = (maybe(), maybe());
        let how = (".{0,6}", ".{0,6}", ".{0,6}", ".{0,6}");
        let what = (maybe(), maybe(), maybe(), maybe());
        (numbers, who, how, what).prop_map(|(numbers, who, how, what)| Record {
            seq: numbers.0,
            audit_id: Uuid::from_u128(numbers.1),
            time: numbers.2,
            revision: numbers.3,
            service_account_id: who.0,
            kid: who.1,
            method: how.0,
            request_id: how.1,
            peer: how.2,
            outcome: how.3,
            application_id: what.0,
            resource: what.1,
            before: what.2,
            after: what.3,
        })
    }

    proptest! {
        #[test]
        fn no_two_events_share_an_encoding(record in record(), previous: Vec<u8>) {
            prop_assert_eq!(decode(&record.encode(&previous)), (previous, record));
        }

        #[test]
        fn a_letter_that_moves_to_the_next_field_changes_the_hash(record in record(), letter in "[a-z]", at in 0..2_usize) {
            let with = |behind: bool| {
                let mut record = record.clone();
                let Record { method, request_id, peer, outcome, .. } = &mut record;
                let (left, right) = [(method, request_id), (peer, outcome)].into_iter().nth(at).expect("a pair");
                if behind { left.push_str(&letter) } else { right.insert_str(0, &letter) }
                record.hash(&BEGIN)
            };
            prop_assert_ne!(with(true), with(false));
        }
    }

    /// The encoding is a contract: a log that was written by an earlier version must verify.
    #[test]
    fn the_hash_of_a_known_event_stays_what_it_was() {
        let text = |text: &str| Some(text.to_owned());
        let record = Record {
            seq: 7,
            audit_id: Uuid::from_u128(1),
            time: 1_795_219_200_000_001,
            revision: Some(5),
            service_account_id: text("sa_1"),
            kid: None,
            method: "portcullis.v1.KeyService/RevokeKey".to_owned(),
            request_id: "r".to_owned(),
            peer: String::new(),
            outcome: "OK".to_owned(),
            application_id: text("app_1"),
            resource: text(""),
            before: None,
            after: text("[{}]"),
        };
        assert_eq!(hex(&record.hash(&BEGIN)), "874103bd41efcbdbf661d2eee1b07fd3e595df7f480ebc23b8e0f7d6714574a5");
    }
}
