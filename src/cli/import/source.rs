mod csv;
mod json;
mod metered;
mod quotes;

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use super::{
    super::failure::Failure,
    problems::Problems,
    row::{Fields, HASH, Names, key},
};
use crate::pb;
use metered::Metered;
use quotes::Quotes;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Csv,
    Json,
}

/// A file of keys.
#[derive(Debug, Clone)]
pub(super) struct Source {
    path: PathBuf,
    format: Format,
    names: Names,
}

/// What a file holds.
pub(super) struct Checked {
    pub(super) rows: u64,
    /// How many of them name no permissions.
    pub(super) unpermitted: u64,
    pub(super) problems: Problems,
}

/// A row: its line (in a JSON array, its place), and what it says.
type Row = (u64, Result<Fields, String>);
/// Hears of each row, and whether to go on.
type Each<'a> = &'a mut dyn FnMut(Row) -> bool;

impl Source {
    pub(super) fn new(
        path: PathBuf,
        format: Option<Format>,
        hash_column: &str,
        ignored: &[String],
    ) -> Result<Self, Failure> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let format = match (format, extension.as_str()) {
            (Some(format), _) => format,
            (None, "csv") => Format::Csv,
            (None, "json" | "jsonl" | "ndjson") => Format::Json,
            (None, _) => return Err(Failure::usage("say what the file is: --format csv, or --format json")),
        };
        Ok(Self { path, format, names: Names::new(hash_column, ignored) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all of it and keeps nothing but what is wrong.
    pub(super) fn check(&self) -> Result<Checked, Failure> {
        let (mut rows, mut unpermitted, mut problems) = (0, 0, Problems::default());
        // Half of a hash tells them apart: a million of them are in memory here.
        let mut seen: HashMap<[u8; 16], u64> = HashMap::new();
        self.keys(&mut |line, key| {
            rows += 1;
            match key {
                Err(why) => problems.add(line, why),
                Ok(key) => {
                    unpermitted += u64::from(key.permissions.is_empty());
                    let half = key.secret_sha256.first_chunk().copied().unwrap_or_default();
                    if let Some(first) = seen.insert(half, line) {
                        problems.add(line, format!("{HASH}: is that of line {first}, too"));
                    }
                }
            }
            true
        })?;
        if rows == 0 {
            return Err(Failure::Usage(format!("{} holds no keys", self.path.display())));
        }
        Ok(Checked { rows, unpermitted, problems })
    }

    /// Reads the keys in order, until `each` has enough.
    pub(super) fn keys(
        &self,
        each: &mut dyn FnMut(u64, Result<pb::KeyToImport, String>) -> bool,
    ) -> Result<(), Failure> {
        self.rows(&mut |(line, fields)| each(line, fields.and_then(key)))
            .map_err(|why| Failure::Usage(format!("{}: {why}", self.path.display())))
    }

    fn rows(&self, each: Each<'_>) -> Result<(), String> {
        let file = File::open(&self.path).map_err(|error| format!("cannot be read: {error}"))?;
        let (metered, meter) = Metered::new(file);
        let mut reader = BufReader::new(metered);
        let begin = reader.fill_buf().map_err(|error| error.to_string())?;
        let mark = if begin.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        reader.consume(mark);
        match self.format {
            Format::Csv => csv::rows(Quotes::new(reader), &meter, &self.names, each),
            Format::Json => json::rows(reader, &meter, &self.names, each),
        }
    }
}

#[cfg(test)]
mod tests;
