//! A key's text that was found where it does not belong.

use super::secret::SecretHash;

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// So many characters of a secret in a row are a part of it, and not chance.
const PART: usize = 12;
/// No key is as long.
const LONGEST: usize = 128;

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
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in source.split(|c| !is_of_key(c)).filter(|word| SecretHash::of_presented(word).is_ok()) {
        // A piece of `source`, so this is where it stands.
        hide(word.as_ptr() as usize - source.as_ptr() as usize, word.len());
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
            (format!("KEY={}…", &secret[..30]), "KEY=[redacted]…"),
            (format!("a {other} b {secret}"), "a [redacted] b [redacted]"),
            (format!("{secret}{secret}"), "[redacted]"),
            (secret[20..31].to_owned(), &secret[20..31]),
            (String::new(), ""),
        ] {
            assert_eq!(without_secrets(&source, &secret), shown, "{source}");
        }
        assert_eq!(without_secrets(&format!("x {other}"), "é"), "x [redacted]", "whatever was presented");
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
