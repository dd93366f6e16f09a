//! An update names what it changes, so that what no flag was given for stays as it is.

use clap::builder::PossibleValuesParser;
use prost_types::FieldMask;

use crate::cli::failure::Failure;

/// What `--clear` takes, and the field that it empties.
pub(in crate::cli) type Clearable = &'static [(&'static str, &'static str)];

pub(in crate::cli) fn clear_words(of: Clearable) -> PossibleValuesParser {
    PossibleValuesParser::new(of.iter().map(|(word, _)| *word))
}

/// The fields that are changed.
#[derive(Debug, Default)]
pub(in crate::cli) struct Changes(Vec<&'static str>);

impl Changes {
    /// Puts a value, where one is given.
    pub(in crate::cli) fn put<T>(&mut self, field: &'static str, into: &mut T, given: Option<T>) {
        if let Some(value) = given {
            *into = value;
            self.0.push(field);
        }
    }

    /// The same of a list, where none is no change.
    pub(in crate::cli) fn put_all<T>(&mut self, field: &'static str, into: &mut Vec<T>, given: Vec<T>) {
        self.put(field, into, (!given.is_empty()).then_some(given));
    }

    /// Empties what is named.
    pub(in crate::cli) fn clear(&mut self, words: &[String], of: Clearable) -> Result<(), Failure> {
        for (word, field) in of.iter().filter(|(word, _)| words.iter().any(|given| given == word)) {
            if self.0.contains(field) {
                return Err(Failure::Usage(format!("--clear {word} and a new value: say one of them")));
            }
            self.0.push(field);
        }
        Ok(())
    }

    pub(in crate::cli) fn mask(self) -> Result<FieldMask, Failure> {
        if self.0.is_empty() {
            return Err(Failure::usage("nothing to change: give a flag for what is to be another"));
        }
        Ok(FieldMask { paths: self.0.into_iter().map(str::to_owned).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Clearable = &[("label", "labels"), ("expires", "expire_time")];

    #[test]
    fn only_what_is_given_is_changed() {
        let (mut name, mut labels) = ("old".to_owned(), vec![1]);
        let mut changes = Changes::default();
        changes.put("name", &mut name, Some("new".to_owned()));
        changes.put("description", &mut name, None);
        changes.put_all("labels", &mut labels, Vec::new());
        changes.clear(&["expires".to_owned()], WORDS).expect("another");
        assert_eq!((name.as_str(), labels), ("new", vec![1]));
        assert_eq!(changes.mask().expect("changes").paths, ["name", "expire_time"]);
        assert!(Changes::default().mask().is_err(), "an empty mask would mean all that is populated");
    }

    #[test]
    fn a_field_is_not_both_emptied_and_filled() {
        let mut changes = Changes::default();
        changes.put_all("labels", &mut Vec::new(), vec![1]);
        assert!(changes.clear(&["label".to_owned()], WORDS).is_err());
    }
}
