//! Which columns of a table are shown, and how wide, so that a line is no wider than the terminal.

/// Between two columns.
pub(super) const GAP: usize = 2;
/// A column that may be shortened is not made narrower than this, as long as another may go.
const FLOOR: usize = 8;

/// A column as wide as its widest cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Natural {
    pub(super) width: usize,
    /// Whether half a cell is of use to a reader: half an id is not.
    pub(super) shrinks: bool,
}

/// The columns that are shown, by their places, and their widths. Columns stand in the order of
/// their importance: where even shortened ones do not fit, the last ones go. The first one stays.
pub(super) fn fit(columns: &[Natural], room: Option<usize>) -> Vec<(usize, usize)> {
    let mut shown: Vec<(usize, usize)> = columns.iter().map(|column| column.width).enumerate().collect();
    let Some(room) = room else { return shown };
    let least = |at: usize| if columns[at].shrinks { columns[at].width.min(FLOOR) } else { columns[at].width };
    while shown.len() > 1 && with_gaps(shown.iter().map(|(at, _)| least(*at))) > room {
        shown.pop();
    }
    let mut over = with_gaps(shown.iter().map(|(_, width)| *width)).saturating_sub(room);
    // A column at a time, the widest one first: what is lost is shared out evenly.
    while over > 0 {
        let widest = shown.iter_mut().filter(|(at, width)| *width > least(*at)).max_by_key(|(_, width)| *width);
        let Some((_, width)) = widest else { break };
        *width -= 1;
        over -= 1;
    }
    if let [(_, only)] = &mut shown[..] {
        *only = (*only).min(room);
    }
    shown
}

fn with_gaps(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    widths.len().saturating_sub(1) * GAP + widths.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(width: usize, shrinks: bool) -> Natural {
        Natural { width, shrinks }
    }

    proptest! {
        #[test]
        fn a_line_is_never_wider_than_the_terminal_and_no_wider_than_it_must_be(
            columns in prop::collection::vec((1_usize..80, any::<bool>()), 1..9),
            room in 1_usize..200,
        ) {
            let columns: Vec<_> = columns.into_iter().map(|(width, shrinks)| column(width, shrinks)).collect();
            let shown = fit(&columns, Some(room));
            let total = with_gaps(shown.iter().map(|(_, width)| *width));
            prop_assert!(total <= room, "{total} of {room}");
            prop_assert!(shown.iter().enumerate().all(|(place, (at, _))| place == *at), "the first ones, in order");
            prop_assert!(!shown.is_empty());
            let whole = with_gaps(columns.iter().map(|column| column.width));
            prop_assert_eq!(whole <= room, shown == fit(&columns, None));
            if shown.len() > 1 {
                prop_assert!(shown.iter().all(|(at, width)| columns[*at].shrinks || *width == columns[*at].width));
            }
        }
    }

    #[test]
    fn what_may_be_shortened_is_and_then_the_last_go() {
        let columns = [column(26, false), column(30, true), column(8, false), column(20, true)];
        assert_eq!(fit(&columns, None), [(0, 26), (1, 30), (2, 8), (3, 20)]);
        assert_eq!(fit(&columns, Some(80)), [(0, 26), (1, 20), (2, 8), (3, 20)]);
        assert_eq!(fit(&columns, Some(60)), [(0, 26), (1, 10), (2, 8), (3, 10)]);
        assert_eq!(fit(&columns, Some(40)), [(0, 26), (1, 12)]);
        assert_eq!(fit(&columns, Some(10)), [(0, 10)]);
    }
}
