//! How many columns of a terminal a text takes, and less of it where there are fewer.

use unicode_width::UnicodeWidthStr as _;

/// Stands for what was left out.
const ELLIPSIS: &str = "…";

/// How many columns of a terminal it takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// It, or as much of its beginning as goes into `max` columns with an ellipsis behind.
pub(super) fn shorten(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let Some(room) = max.checked_sub(width(ELLIPSIS)) else { return String::new() };
    // Of the string each time, since characters that join (a flag, a family) are narrower together.
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = at + c.len_utf8();
        if width(&text[..next]) > room {
            break;
        }
        end = next;
    }
    // Joined to what is before it, the ellipsis could be of another width.
    let shortened = format!("{}{ELLIPSIS}", &text[..end]);
    if width(&shortened) <= max { shortened } else { ELLIPSIS.to_owned() }
}

/// It in exactly `columns`, on the left or the right of them.
pub(super) fn padded(text: &str, columns: usize, right: bool) -> String {
    let gap = " ".repeat(columns.saturating_sub(width(text)));
    if right { format!("{gap}{text}") } else { format!("{text}{gap}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shortened_fits_and_is_a_beginning(text in any::<String>(), max in 0_usize..30) {
            let text = crate::cli::clean::clean(&text);
            let shown = shorten(&text, max);
            prop_assert!(width(&shown) <= max, "{shown:?} is {} wide", width(&shown));
            prop_assert!(shown == text || text.starts_with(shown.trim_end_matches(ELLIPSIS)));
            prop_assert!(width(&padded(&shown, max, false)) <= max);
        }
    }

    #[test]
    fn wide_characters_count_as_two_and_marks_as_none() {
        assert_eq!(["鍵の名前", "e\u{301}te\u{301}", "🇨🇭", "", "…"].map(width), [8, 3, 2, 0, 1]);
        assert_eq!(shorten("鍵の名前", 6), "鍵の…");
        assert_eq!(shorten("鍵の名前", 4), "鍵…");
        assert_eq!(padded("鍵", 4, false), "鍵  ");
        assert_eq!(padded("鍵", 4, true), "  鍵");
    }
}
