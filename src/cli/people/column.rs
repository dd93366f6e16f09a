//! How a message is shown is said once, as a list of columns: a table has those that it has room
//! for, `get` and its like have all, one a line.

use anstyle::{AnsiColor, Style};
use prost_types::Timestamp;

use super::{Look, when};
use crate::cli::clean::clean;

/// A message that people are shown.
pub(in crate::cli) trait Shown: prost::Message + Default + Sized + 'static {
    /// Its name in the protos.
    const MESSAGE: &'static str;
    /// More than one of them.
    const MANY: &'static str;
    /// From the most to the least important.
    const COLUMNS: &'static [Column<Self>];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In tables, and never shortened there: half an id is of no use.
    Whole,
    /// The same, to the right.
    Number,
    /// In tables, shortened where there is no room.
    Shrinks,
    /// Not in tables.
    Detail,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Column<T> {
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    pub(super) cell: fn(&T, &Look) -> Cell,
}

pub(in crate::cli) const fn whole<T>(title: &'static str, cell: fn(&T, &Look) -> Cell) -> Column<T> {
    Column { title, kind: Kind::Whole, cell }
}

pub(in crate::cli) const fn number<T>(title: &'static str, cell: fn(&T, &Look) -> Cell) -> Column<T> {
    Column { title, kind: Kind::Number, cell }
}

pub(in crate::cli) const fn shrinks<T>(title: &'static str, cell: fn(&T, &Look) -> Cell) -> Column<T> {
    Column { title, kind: Kind::Shrinks, cell }
}

pub(in crate::cli) const fn detail<T>(title: &'static str, cell: fn(&T, &Look) -> Cell) -> Column<T> {
    Column { title, kind: Kind::Detail, cell }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) enum Tint {
    #[default]
    Plain,
    Good,
    Careful,
    Bad,
    Faint,
}

impl Tint {
    pub(super) fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Careful => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

/// What stands in one place of a table: nothing, a text, or several. Clean, whoever wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Cell {
    pub(super) parts: Vec<String>,
    /// In a line of its own it says more.
    pub(super) in_full: Option<String>,
    pub(super) tint: Tint,
}

impl Cell {
    pub(in crate::cli) fn text(text: &str) -> Self {
        Self::list([text])
    }

    /// Those that are not empty.
    pub(in crate::cli) fn list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Self {
        let parts = texts.into_iter().map(|text| clean(text.as_ref())).filter(|text| !text.is_empty()).collect();
        Self { parts, ..Self::default() }
    }

    /// A text that its writer broke into lines.
    pub(in crate::cli) fn lines(text: &str) -> Self {
        Self::list(text.lines().map(|line| line.replace('\t', " ")))
    }

    pub(in crate::cli) fn number(number: i64) -> Self {
        Self::text(&number.to_string())
    }

    pub(in crate::cli) fn yes(is_so: bool) -> Self {
        Self::text(if is_so { "yes" } else { "" })
    }

    pub(in crate::cli) fn time(time: Option<&Timestamp>, look: &Look) -> Self {
        let Some(time) = time else { return Self::default() };
        match &look.now {
            // To the second in a table, so that times stand below each other.
            None => {
                let second = Timestamp { nanos: 0, ..*time };
                Self { in_full: Some(time.to_string()), ..Self::text(&second.to_string()) }
            }
            Some(now) => {
                let words = when::words(time, now);
                let in_full = Some(format!("{words} ({time})"));
                Self { in_full, ..Self::text(&words) }
            }
        }
    }

    pub(in crate::cli) fn span(span: Option<&prost_types::Duration>) -> Self {
        Self::text(&span.map(when::span_words).unwrap_or_default())
    }

    /// In a table, or in the middle of a text.
    pub(in crate::cli) fn brief(&self) -> String {
        self.parts.join(", ")
    }

    pub(in crate::cli) fn tinted(self, tint: Tint) -> Self {
        Self { tint, ..self }
    }
}
