use std::io::{self, IsTerminal as _};

use anstyle::Style;
use clap::ValueEnum;
use prost_types::Timestamp;

use crate::{cli::failure::Failure, client::unix_seconds};

/// A terminal that does not say how wide it is.
const UNSAID: usize = 80;

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set; CLICOLOR_FORCE asks for it elsewhere too
    #[default]
    Auto,
    Always,
    Never,
}

/// How what is printed looks: on a terminal it is made to be read there.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Look {
    /// Lines are no wider. None: as wide as they are.
    pub(super) width: Option<usize>,
    pub(super) color: bool,
    /// What times are told in words against. None: they are told in RFC 3339.
    pub(super) now: Option<Timestamp>,
}

impl Look {
    /// That of standard output.
    pub(super) fn of_stdout(color: Color) -> Result<Self, Failure> {
        let is_terminal = io::stdout().is_terminal();
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => auto(is_terminal),
        };
        if !is_terminal {
            return Ok(Self { color, ..Self::default() });
        }
        let seconds = unix_seconds().map_err(|e| Failure::Failed(e.to_string()))?;
        let said = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        let width = said.filter(|width| *width > 0).unwrap_or(UNSAID);
        Ok(Self { width: Some(width), color, now: Some(Timestamp { seconds, nanos: 0 }) })
    }

    pub(super) fn styled(&self, text: &str, style: Style) -> String {
        if self.color && !style.is_plain() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// As clap colours its help.
fn auto(is_terminal: bool) -> bool {
    !anstyle_query::no_color()
        && (anstyle_query::clicolor_force()
            || (is_terminal && anstyle_query::clicolor() != Some(false) && anstyle_query::term_supports_color()))
}
