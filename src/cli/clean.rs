//! Texts of others, as a terminal may have them.

/// With the replacement character for whatever a terminal would obey: control characters (C0, DEL
/// and C1, so that no escape sequence begins), ends of lines, and what turns the direction of text
/// around, which makes one name look like another.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_is_obeyed_is_left_and_nothing_else_is_changed(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.contains(is_obeyed));
            prop_assert_eq!(cleaned.chars().count(), text.chars().count());
            prop_assert!(text.chars().zip(cleaned.chars()).all(|(was, is)| was == is || is_obeyed(was)));
        }
    }

    #[test]
    fn an_escape_sequence_is_a_text() {
        assert_eq!(clean("a\u{1b}[2Jb\u{9b}1m\r\n\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}1m\u{fffd}\u{fffd}\u{fffd}c");
    }
}
