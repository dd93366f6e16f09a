//! Where settings come from: a flag, else its variable, else the file of `--config`, else the default. By the
//! flags' own declarations, so that each flag that has a variable can stand in the file; and everything that is
//! wrong is said at once.

mod file;
mod value;

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fmt,
    path::PathBuf,
};

use clap::{Arg, Command};

use file::{Entry, FileSettings};
use value::refuse;

/// A setting that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The name of its flag.
    setting: String,
    /// None where it may be secret, or where there is none.
    value: Option<String>,
    from: String,
    why: String,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsWrong(Vec<Wrong>);

impl fmt::Display for SettingsWrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "a setting is wrong:")?,
            more => writeln!(f, "{more} settings are wrong:")?,
        }
        for Wrong { setting, value, from, why } in &self.0 {
            let value = value.as_ref().map(|value| format!(" = {value:?}")).unwrap_or_default();
            // What comes from elsewhere may hold escape sequences that a terminal would obey.
            let line: String = format!("{setting}{value} ({from}): {why}")
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// The name of the flag that names the file.
pub(super) const CONFIG: &str = "config";
const CONFIG_VARIABLE: &str = "PORTCULLIS_CONFIG";

/// The arguments, and behind them what the file says beside them. Arguments that are not understood are left
/// for clap, which says so.
pub fn with_settings(root: &Command, arguments: Vec<OsString>) -> Result<Vec<OsString>, SettingsWrong> {
    let name = arguments.get(1).and_then(|name| name.to_str());
    let Some(command) = name.and_then(|name| root.find_subcommand(name)).filter(|command| has_file(command)) else {
        return Ok(arguments);
    };
    let Some(given) = given(command, arguments.get(2..).unwrap_or_default()) else { return Ok(arguments) };
    let mut wrong = Vec::new();
    let file = read_file(root, &given, &mut wrong);
    let mut result = arguments;
    for arg in settings(command) {
        let flag = given.iter().filter(|(id, _)| *id == arg.get_id()).map(|(_, value)| value.clone());
        let flag: Vec<_> = flag.collect();
        if !flag.is_empty() {
            let values: Vec<_> = flag.into_iter().flatten().collect();
            wrong.extend(refuse(arg, &values).map(|(value, why)| because(arg, value, long(arg), why)));
        } else if let Some(value) = arg.get_env().and_then(variable) {
            let from = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            wrong.extend(refuse(arg, &[value]).map(|(value, why)| because(arg, value, from, why)));
        } else if let Some(Entry { line, values }) = file.get(name_of(arg)) {
            let from = format!("{}:{line}", file.path.display());
            match values.arguments(arg) {
                Err(why) => wrong.push(because(arg, None, from, why)),
                Ok(values) => {
                    wrong.extend(refuse(arg, &values).map(|(value, why)| because(arg, value, from, why)));
                    result.extend(as_arguments(arg, values));
                }
            }
        }
    }
    if wrong.is_empty() { Ok(result) } else { Err(SettingsWrong(wrong)) }
}

fn because(arg: &Arg, value: Option<String>, from: String, why: String) -> Wrong {
    Wrong { setting: name_of(arg).to_owned(), value, from, why }
}

fn has_file(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == CONFIG)
}

/// Those that may stand in a file: all that have a variable, but for the file itself.
fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| arg.get_env().is_some() && arg.get_long().is_some() && arg.get_id() != CONFIG)
}

fn name_of(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

fn long(arg: &Arg) -> String {
    format!("--{}", name_of(arg))
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// What the command line gives, or none where there is something that is no flag of this command, or help is asked for.
fn given<'a>(command: &'a Command, arguments: &[OsString]) -> Option<Vec<(&'a clap::Id, Option<OsString>)>> {
    let mut given = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_str()?.strip_prefix("--")?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (text, None),
        };
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
        let value = match value {
            None if takes_value(arg) => Some(rest.next()?.clone()),
            value => value,
        };
        given.push((arg.get_id(), value));
    }
    Some(given)
}

fn read_file(root: &Command, given: &[(&clap::Id, Option<OsString>)], wrong: &mut Vec<Wrong>) -> FileSettings {
    let flag = given.iter().rev().find(|(id, _)| **id == CONFIG).and_then(|(_, value)| value.clone());
    let Some(path) = flag.or_else(|| variable(OsStr::new(CONFIG_VARIABLE))).map(PathBuf::from) else {
        return FileSettings::default();
    };
    let known: BTreeSet<&str> =
        root.get_subcommands().filter(|command| has_file(command)).flat_map(settings).map(name_of).collect();
    let (file, refused) = FileSettings::read(&path, &known);
    wrong.extend(refused);
    file
}

/// As if it had been given on the command line. What has a variable that is not set stands there once.
fn as_arguments(arg: &Arg, values: Vec<OsString>) -> Vec<OsString> {
    if !takes_value(arg) {
        let is_set = values.iter().any(|value| value == "true");
        return is_set.then(|| OsString::from(long(arg))).into_iter().collect();
    }
    let one = |value: OsString| {
        let mut argument = OsString::from(format!("{}=", long(arg)));
        argument.push(value);
        argument
    };
    values.into_iter().map(one).collect()
}

#[expect(clippy::disallowed_methods, reason = "this is the room that reads the environment")]
fn variable(name: &OsStr) -> Option<OsString> {
    std::env::var_os(name)
}
