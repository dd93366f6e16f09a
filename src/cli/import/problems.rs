use std::{
    io::{self, Write as _},
    path::Path,
};

use super::super::clean::clean;

/// What is wrong with rows: the first hundred in words, and how many there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Problems {
    told: Vec<(u64, String)>,
    count: u64,
    /// Where the server told some of them and left others out.
    cut: bool,
}

const TOLD: usize = 100;

impl Problems {
    pub(super) fn add(&mut self, line: u64, what: impl Into<String>) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push((line, what.into()));
        }
    }

    pub(super) fn cut(&mut self) {
        self.cut = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn rows(&self) -> String {
        match (self.count, self.cut) {
            (1, false) => "a row".to_owned(),
            (count, false) => format!("{count} rows"),
            (count, true) => format!("{count} rows or more"),
        }
    }

    pub(super) fn told(&self) -> &[(u64, String)] {
        &self.told
    }

    /// Says them on standard error: `keys.csv:17: what is wrong`.
    pub(super) fn tell(&self, path: &Path) {
        let mut text = String::new();
        let mut told: Vec<_> = self.told.iter().collect();
        told.sort();
        for (line, what) in told {
            text += &format!("{}:{line}: {}\n", path.display(), clean(what));
        }
        let more = self.count - self.told.len() as u64;
        if more > 0 {
            text += &format!("and {more} more\n");
        }
        // Where standard error is closed, the exit code alone says it.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_are_told_and_all_are_counted() {
        let mut problems = Problems::default();
        for line in 0..250 {
            problems.add(line, "wrong");
        }
        assert_eq!((problems.told().len(), problems.count(), problems.rows().as_str()), (100, 250, "250 rows"));
    }
}
