use anstyle::Style;

use super::{
    Look,
    column::{Cell, Column, Kind, Shown},
    fit::{GAP, Natural, fit},
    text::{padded, shorten, width},
};
use crate::cli::clean::clean;

/// A table: its columns and their widths, from the rows that it was laid out for.
pub(in crate::cli) struct Table<T: Shown> {
    look: Look,
    columns: Vec<(&'static Column<T>, usize)>,
}

/// Lays a table out. Later rows keep to it.
pub(in crate::cli) fn table<T: Shown>(rows: &[T], look: Look) -> Table<T> {
    let listed: Vec<_> = T::COLUMNS.iter().filter(|column| column.kind != Kind::Detail).collect();
    let natural = |column: &&&Column<T>| {
        let cells = rows.iter().map(|row| width(&one_line(&(column.cell)(row, &look))));
        Natural { width: cells.fold(width(column.title), usize::max), shrinks: column.kind == Kind::Shrinks }
    };
    let naturals: Vec<_> = listed.iter().map(|column| natural(&column)).collect();
    let columns = fit(&naturals, look.width).into_iter().map(|(at, width)| (listed[at], width)).collect();
    Table { look, columns }
}

impl<T: Shown> Table<T> {
    pub(in crate::cli) fn head(&self) -> String {
        let titles = self.columns.iter().map(|(column, _)| (column.title.to_uppercase(), Style::new().bold()));
        self.print(titles.collect())
    }

    pub(in crate::cli) fn row(&self, row: &T) -> String {
        let cells = self.columns.iter().map(|(column, _)| (column.cell)(row, &self.look));
        self.print(cells.map(|cell| (one_line(&cell), cell.tint.style())).collect())
    }

    fn print(&self, texts: Vec<(String, Style)>) -> String {
        let last = texts.len().saturating_sub(1);
        let cells = texts.into_iter().zip(&self.columns).enumerate().map(|(at, ((text, style), (column, width)))| {
            let text = if self.look.width.is_some() { shorten(&text, *width) } else { text };
            let styled = self.look.styled(&text, style);
            // Padding is counted without the colours, and is not coloured.
            let with_gap = padded(&text, *width, column.kind == Kind::Number);
            match (at == last, with_gap.split_once(&text)) {
                (_, Some((before, _))) if at == last => format!("{before}{styled}"),
                (_, Some((before, after))) => format!("{before}{styled}{after}"),
                (_, None) => styled,
            }
        });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    }
}

fn one_line(cell: &Cell) -> String {
    if cell.parts.is_empty() { "-".to_owned() } else { cell.brief() }
}

/// All that is known of one, a line each; what is empty is left out.
pub(in crate::cli) fn details<T: Shown>(of: &T, look: &Look) -> String {
    let mut lines = Vec::new();
    for column in T::COLUMNS {
        let Cell { parts, in_full, tint } = (column.cell)(of, look);
        for (at, part) in in_full.map_or(parts, |full| vec![full]).iter().enumerate() {
            lines.push(labelled::<T>(if at == 0 { column.title } else { "" }, part, tint.style(), look));
        }
    }
    lines.join("\n")
}

/// The same, and something that is not part of it.
pub(in crate::cli) fn details_and<T: Shown>(of: &T, (title, text): (&str, &str), look: &Look) -> String {
    format!("{}\n{}", details(of, look), labelled::<T>(title, &clean(text), Style::new().bold(), look))
}

fn labelled<T: Shown>(title: &str, text: &str, style: Style, look: &Look) -> String {
    let columns = T::COLUMNS.iter().map(|column| width(column.title)).max().unwrap_or_default() + GAP;
    format!("{}{}", look.styled(&padded(title, columns, false), Style::new().dimmed()), look.styled(text, style))
}

/// One that comes by itself, as in a stream: a line without a table around it.
pub(in crate::cli) fn line<T: Shown>(of: &T, look: &Look) -> String {
    table(std::slice::from_ref(of), *look).row(of)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Tint, detail, number, shrinks, whole},
        *,
    };
    use crate::pb;

    impl Shown for pb::Label {
        const MESSAGE: &'static str = "Label";
        const MANY: &'static str = "labels";
        const COLUMNS: &'static [Column<Self>] = &[
            whole("key", |label, _| Cell::text(&label.key).tinted(Tint::Good)),
            number("length", |label, _| Cell::number(label.value.len() as i64)),
            shrinks("the value", |label, _| Cell::list(label.value.split(','))),
            detail("more", |label, _| Cell::yes(label.value.is_empty())),
        ];
    }

    fn labels() -> Vec<pb::Label> {
        [("a", "x"), ("鍵", "one,two,\u{1b}[31mthree"), ("long-key", "")]
            .map(|(key, value)| pb::Label { key: key.to_owned(), value: value.to_owned() })
            .to_vec()
    }

    fn shown(look: Look) -> String {
        let table = table(&labels(), look);
        let rows = labels().iter().map(|row| table.row(row)).collect::<Vec<_>>().join("\n");
        format!("{}\n{rows}\n", table.head())
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_no_wider_than_the_terminal() {
        let piped = "\
KEY       LENGTH  THE VALUE
a              1  x
鍵            18  one, two, \u{fffd}[31mthree
long-key       0  -
";
        assert_eq!(shown(Look::default()), piped);
        let narrow = "\
KEY       LENGTH  THE VALUE
a              1  x
鍵            18  one, two, …
long-key       0  -
";
        assert_eq!(shown(Look { width: Some(29), ..Look::default() }), narrow);
        assert_eq!(shown(Look { width: Some(16), ..Look::default() }).lines().next(), Some("KEY       LENGTH"));
        assert_eq!(shown(Look { width: Some(3), ..Look::default() }), "KEY\na\n鍵\nlo…\n");
    }

    #[test]
    fn colours_do_not_move_what_is_beside_them() {
        let coloured = shown(Look { color: true, ..Look::default() });
        let bare = coloured.replace("\u{1b}[1m", "").replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
        assert_eq!(bare, shown(Look::default()));
        assert_eq!(coloured.matches("\u{1b}[32m").count(), 3);
    }

    #[test]
    fn details_have_a_line_for_each_part() {
        let label = &labels()[1];
        assert_eq!(
            details(label, &Look::default()),
            "key        鍵\nlength     18\nthe value  one\n           two\n           \u{fffd}[31mthree"
        );
        assert_eq!(line(label, &Look::default()), "鍵       18  one, two, \u{fffd}[31mthree");
    }
}
