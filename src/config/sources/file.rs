use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction};
use toml_edit::{Document, Item, Value};

use super::{CONFIG, Wrong, takes_value};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct FileSettings {
    pub(super) path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) values: Values,
}

#[derive(Debug)]
pub(super) enum Values {
    Switch(bool),
    One(String),
    Many(Vec<String>),
}

impl FileSettings {
    /// One table, whose keys are the flags' long names.
    pub(super) fn read(path: &Path, known: &BTreeSet<&str>) -> (Self, Vec<Wrong>) {
        let mut this = Self { path: path.to_owned(), entries: BTreeMap::new() };
        let mut wrong = Vec::new();
        let refused = |setting: &str, line: Option<usize>, why: String| Wrong {
            setting: setting.to_owned(),
            value: None,
            from: line.map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display())),
            why,
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return (this, vec![refused(CONFIG, None, format!("cannot be read: {error}"))]),
        };
        let document = match Document::parse(text.as_str()) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map(|span| line_of(&text, &span));
                // The error repeats the line, which may hold a secret; its message does not.
                return (this, vec![refused(CONFIG, line, error.message().to_owned())]);
            }
        };
        let table = document.as_table();
        for (name, item) in table {
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            let line = span.map_or(1, |span| line_of(&text, &span));
            if !known.contains(name) {
                wrong.push(refused(name, Some(line), no_such(name, item, known)));
                continue;
            }
            match values(item) {
                Ok(values) => drop(this.entries.insert(name.to_owned(), Entry { line, values })),
                Err(why) => wrong.push(refused(name, Some(line), why)),
            }
        }
        (this, wrong)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
}

fn no_such(name: &str, item: &Item, known: &BTreeSet<&str>) -> String {
    if item.is_table() || item.is_array_of_tables() {
        return "the file is one table, without headings in brackets".to_owned();
    }
    let dashes = name.replace('_', "-");
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(known, &dashes), *known)).min();
    match near {
        Some((distance, near)) if distance <= 1 + near.len() / 4 => format!("there is no such setting; did you mean {near}?"),
        _ => "there is no such setting; `portcullis serve --help` has them all, and their names here are without the dashes before them".to_owned(),
    }
}

fn values(item: &Item) -> Result<Values, String> {
    const TYPES: &str = "must be a text, a number, true or false, or a list of texts";
    match item.as_value().ok_or(TYPES)? {
        Value::Boolean(switch) => Ok(Values::Switch(*switch.value())),
        Value::Array(list) => {
            let one = |value: &Value| scalar(value).ok_or_else(|| "must be a list of texts or numbers".to_owned());
            list.iter().map(one).collect::<Result<_, _>>().map(Values::Many)
        }
        value => scalar(value).map(Values::One).ok_or_else(|| TYPES.to_owned()),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        _ => None,
    }
}

impl Values {
    /// As the flag would be given them.
    pub(super) fn arguments(&self, arg: &Arg) -> Result<Vec<OsString>, String> {
        let many = arg.get_value_delimiter().is_some() || matches!(arg.get_action(), ArgAction::Append);
        match self {
            Self::Switch(switch) if !takes_value(arg) => Ok(vec![switch.to_string().into()]),
            _ if !takes_value(arg) => Err("must be true or false".to_owned()),
            Self::Switch(_) => Err("must be a text or a number, not true or false".to_owned()),
            Self::One(text) => Ok(vec![text.into()]),
            Self::Many(texts) if many => Ok(texts.iter().map(OsString::from).collect()),
            Self::Many(_) => Err("takes one value, not a list".to_owned()),
        }
    }
}
