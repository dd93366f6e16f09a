use std::io::Read;

use ::csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Terminator};

use super::{
    super::row::{self, Fields, HASH, Names},
    Each,
    metered::Meter,
};

/// By which lines are counted as an editor does; the CR before it is taken from the last cell.
const LINE: Terminator = Terminator::Any(b'\n');

/// RFC 4180: a header row, quotes where they are needed, either end of line.
pub(super) fn rows(from: impl Read, meter: &Meter, names: &Names, each: Each<'_>) -> Result<(), String> {
    let mut reader = ReaderBuilder::new().flexible(true).terminator(LINE).from_reader(from);
    let header = reader.headers().map_err(|error| why(&error))?;
    let (columns, width) = (columns(header, names)?, header.len());
    let mut record = StringRecord::new();
    loop {
        meter.begin_row();
        // Behind a row that is no UTF-8 the next one begins where it should.
        let read = match reader.read_record(&mut record) {
            Ok(true) if record.len() == 1 && record.get(0) == Some("\r") => continue,
            Ok(true) => fields(&record, &columns, width),
            Ok(false) => return Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::Utf8 { pos: Some(position), .. } => {
                    if !each((position.line(), Err("is no UTF-8".to_owned()))) {
                        return Ok(());
                    }
                    continue;
                }
                _ => return Err(why(&error)),
            },
        };
        let line = record.position().map_or(0, Position::line);
        if !each((line, read)) {
            return Ok(());
        }
    }
}

/// The name of each column that is read, and its place.
fn columns(header: &StringRecord, names: &Names) -> Result<Vec<(usize, String)>, String> {
    if let Some(separator) = other_separator(header) {
        return Err(format!("has {separator:?} between its cells, and CSV has a comma"));
    }
    let mut columns: Vec<(usize, String)> = Vec::new();
    for (at, name) in header.iter().enumerate() {
        if names.takes(name)? {
            let name = names.of(name);
            if columns.iter().any(|(_, known)| *known == name) {
                return Err(format!("has the column {name} twice"));
            }
            columns.push((at, name));
        }
    }
    for needed in [HASH, "name"] {
        if !columns.iter().any(|(_, name)| name == needed) {
            return Err(format!("has no column {needed}; the first row names the columns"));
        }
    }
    Ok(columns)
}

/// As spreadsheets write it where a comma is part of a number.
fn other_separator(header: &StringRecord) -> Option<char> {
    let alone = header.get(0).filter(|_| header.len() == 1)?;
    alone.chars().find(|character| [';', '\t', '|'].contains(character))
}

fn fields(record: &StringRecord, columns: &[(usize, String)], width: usize) -> Result<Fields, String> {
    if record.len() != width {
        return Err(format!("has {} cells, and the first row has {width}", record.len()));
    }
    let mut fields = Fields::new();
    for (at, name) in columns {
        let text = record.get(*at).unwrap_or_default();
        let text = if at + 1 == width { text.strip_suffix('\r').unwrap_or(text) } else { text };
        let value = row::cell(name, text)?;
        fields.extend(value.map(|value| (name.clone(), value)));
    }
    Ok(fields)
}

fn why(error: &::csv::Error) -> String {
    match error.kind() {
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::Utf8 { .. } => "its first row is no UTF-8".to_owned(),
        _ => "is no CSV file".to_owned(),
    }
}
