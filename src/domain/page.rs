//! Pages of a list: by id, which is the order of creation.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::refusal::{Refusal, Violations};

/// How much of a list is wanted, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// 1 to 1,000.
    pub size: u64,
    /// The last id of the page before.
    pub after: Option<String>,
    filter: [u8; 8],
}

/// A page, and where the next one starts.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Empty: that was the last one.
    pub next_page_token: String,
}

const DEFAULT_SIZE: u64 = 50;
const MAX_SIZE: u64 = 1000;

impl PageRequest {
    /// Reads `page_size` (0: 50, above 1,000: 1,000) and a token that is good for `filter` only.
    pub fn parse(page_size: i32, page_token: &str, filter: &[&str]) -> Result<Self, Refusal> {
        let size = match u64::try_from(page_size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => return Err(Refusal::FieldInvalid(Violations::one("page_size", "must not be negative"))),
        };
        let filter = fingerprint(filter);
        let after =
            if page_token.is_empty() { None } else { Some(read(page_token, filter).ok_or(Refusal::PageTokenInvalid)?) };
        Ok(Self { size, after, filter })
    }

    /// Makes the page of up to `size + 1` items that the store returned.
    pub fn page<T>(&self, mut items: Vec<T>, id: impl Fn(&T) -> String) -> Page<T> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        self.cut(items, more, id)
    }

    /// Makes the page of items that end where the store ended it.
    pub fn cut<T>(&self, items: Vec<T>, more: bool, id: impl Fn(&T) -> String) -> Page<T> {
        let next_page_token = match items.last() {
            Some(last) if more => self.token(&id(last)),
            _ => String::new(),
        };
        Page { items, next_page_token }
    }

    fn token(&self, after: &str) -> String {
        let mut bytes = self.filter.to_vec();
        bytes.extend_from_slice(after.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn read(token: &str, filter: [u8; 8]) -> Option<String> {
    if token.len() > 128 {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (bound_to, after) = bytes.split_at_checked(filter.len())?;
    let after = String::from_utf8(after.to_vec()).ok()?;
    (bound_to == filter && !after.is_empty() && after.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .then_some(after)
}

fn fingerprint(filter: &[&str]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in filter {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(from: usize, count: usize) -> Vec<String> {
        (from..from + count).map(|i| format!("key_{i}")).collect()
    }

    #[test]
    fn a_token_is_good_for_its_own_filter_only() {
        let first = PageRequest::parse(2, "", &["app", "live"]).expect("first");
        let page = first.page(items(0, 3), Clone::clone);
        assert_eq!(page.items, items(0, 2));
        let next = PageRequest::parse(2, &page.next_page_token, &["app", "live"]).expect("next");
        assert_eq!(next.after.as_deref(), Some("key_1"));
        assert!(next.page(items(2, 2), Clone::clone).next_page_token.is_empty());
        for (token, filter) in
            [(&*page.next_page_token, ["app", "test"]), (&page.next_page_token[1..], ["app", "live"])]
        {
            assert_eq!(PageRequest::parse(2, token, &filter), Err(Refusal::PageTokenInvalid));
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(PageRequest::parse(0, "", &[]).expect("default").size, 50);
        assert_eq!(PageRequest::parse(i32::MAX, "", &[]).expect("huge").size, 1000);
        assert!(PageRequest::parse(-1, "", &[]).is_err());
    }

    proptest! {
        #[test]
        fn junk_is_refused_without_a_panic(token in "\\PC{1,200}") {
            prop_assert!(PageRequest::parse(1, &token, &["x"]).is_err());
        }
    }
}
