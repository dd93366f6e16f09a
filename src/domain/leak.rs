//! A key's text that was found where it does not belong.

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// So many characters of a secret in a row are a part of it, and not chance.
const PART: usize = 12;
/// No key is as long.
const LONGEST: usize = 512;

/// Where a text was found, without the text itself: whoever reports it may quote the line
/// that it stood in, and that goes into the audit and out in notices. Nor any other key.
#[must_use]
pub fn without_secrets(source: &str, secret: &str) -> String {
    let mut hidden = vec![false; source.len()];
    let mut hide = |at: usize, length: usize| hidden[at..at + length].fill(true);
    if secret.len() <= LONGEST && secret.is_ascii() {
        for at in 0..(secret.len() + 1).saturating_sub(PART) {
            for (found, part) in source.match_indices(&secret[at..at + PART]) {
                hide(found, part.len());
            }
        }
    }
    for (at, length) in keys_in(source) {
        hide(at, length);
    }
    let mut shown = String::with_capacity(source.len());
    let mut last = false;
    for (at, c) in source.char_indices() {
        match (hidden[at], last) {
            (false, _) => shown.push(c),
            (true, false) => shown.push_str(REDACTED),
            (true, true) => {}
        }
        last = hidden[at];
    }
    shown
}

/// Where the random characters of keys stand, whatever stands around them: a letter before a key,
/// or one that is written by its code, makes it none, and hides nothing from who reads on.
fn keys_in(source: &str) -> impl Iterator<Item = (usize, usize)> {
    ["live_", "test_"].into_iter().flat_map(move |word| {
        source.match_indices(word).filter_map(move |(at, _)| {
            let rest = &source.as_bytes()[at + word.len()..];
            let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            (length >= PART).then_some((at, word.len() + length))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::domain::{
        key::{KeyEnvironment, KeyType},
        secret::PlainKey,
    };

    fn key(entropy: [u8; 32]) -> String {
        PlainKey::make(None, KeyType::Secret, KeyEnvironment::Live, Zeroizing::new(entropy)).reveal()
    }

    #[test]
    fn neither_the_text_nor_a_part_of_it_nor_another_key_stays() {
        let (secret, other) = (key([7; 32]), key([8; 32]));
        for (source, shown) in [
            ("https://example.com/log#L3".to_owned(), "https://example.com/log#L3"),
            (format!("KEY={secret}; é"), "KEY=[redacted]; é"),
            (format!("API_KEY_{other}x"), "API_KEY_sk_[redacted]"),
            (format!("x{other} %73k_{}", &other[3..]), "xsk_[redacted] %73k_[redacted]"),
            (format!("_{}\u{e9}", &other[3..30]), "_[redacted]\u{e9}"),
            ("a live_ stream, test_it".to_owned(), "a live_ stream, test_it"),
            (format!("KEY={}…", &secret[..30]), "KEY=[redacted]…"),
            (format!("a {other} b {secret}"), "a sk_[redacted] b [redacted]"),
            (format!("{secret}{secret}"), "[redacted]"),
            (secret[20..31].to_owned(), &secret[20..31]),
            (String::new(), ""),
        ] {
            assert_eq!(without_secrets(&source, &secret), shown, "{source}");
        }
        assert_eq!(without_secrets(&format!("x {other}"), "é"), "x sk_[redacted]", "whatever was presented");
    }

    proptest! {
        #[test]
        fn no_part_stays_wherever_it_stands(entropy: [u8; 32], before in "\\PC{0,20}", after in "\\PC{0,20}", from in 0_usize..40) {
            let secret = key(entropy);
            let shown = without_secrets(&format!("{before}{}{after}", &secret[from..]), &secret);
            for at in 0..=secret.len() - PART {
                prop_assert!(!shown.contains(&secret[at..at + PART]));
            }
        }

        #[test]
        fn any_texts_do(source in "\\PC*", secret in "\\PC*") {
            let _ = without_secrets(&source, &secret);
        }
    }
}
