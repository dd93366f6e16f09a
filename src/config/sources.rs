//! Where settings come from: a flag, else its variable, else the file of `--config`, else the default. By the
//! flags' own declarations, so that each flag that has a variable can stand in the file; and everything that is
//! wrong is said at once.

mod file;
mod misspelt;
mod together;
mod value;

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

use clap::{Arg, Command, builder::Resettable};

use super::database::EXAMPLES;
use file::{Entry, FileSettings};
use value::refuse;

/// A setting that is given.
#[derive(Debug)]
struct Setting<'a> {
    arg: &'a Arg,
    /// Where it stands.
    from: String,
    values: Vec<OsString>,
}

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

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, value, from, why } = self;
        let value = value.as_ref().map(|value| format!(" = {value:?}")).unwrap_or_default();
        write!(f, "{setting}{value} ({from}): {why}")
    }
}

/// All that are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsWrong(Vec<String>);

impl SettingsWrong {
    /// A line each.
    #[must_use]
    pub fn of(lines: Vec<String>) -> Self {
        Self(lines)
    }

    /// And these.
    pub fn extend(&mut self, lines: Vec<String>) {
        self.0.extend(lines);
    }
}

impl fmt::Display for SettingsWrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "a setting is wrong:")?,
            more => writeln!(f, "{more} settings are wrong:")?,
        }
        for line in &self.0 {
            // What comes from elsewhere may hold escape sequences that a terminal would obey.
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// What is wrong, and the rest, for whoever looks whether that is right.
#[derive(Debug)]
pub struct Refused {
    pub wrong: SettingsWrong,
    /// It takes the rest alone: no setting is asked of a variable, and none needs another.
    pub command: Command,
    pub rest: Vec<OsString>,
}

/// The name of the flag that names the file.
pub(super) const CONFIG: &str = "config";
const CONFIG_VARIABLE: &str = "PORTCULLIS_CONFIG";

/// The arguments, and behind them what the file says beside them. Arguments that are not understood are left
/// for clap, which says so.
pub fn with_settings(root: &Command, arguments: Vec<OsString>) -> Result<Vec<OsString>, Box<Refused>> {
    let name = arguments.get(1).and_then(|name| name.to_str());
    let Some(command) = name.and_then(|name| root.find_subcommand(name)).filter(|command| has_file(command)) else {
        return Ok(arguments);
    };
    let Some(given) = given(command, arguments.get(2..).unwrap_or_default()) else { return Ok(arguments) };
    let mut wrong = misspelt::misspelt(root);
    let file = read_file(root, &given, &mut wrong);
    // What is in a file that does not read is not missing.
    let all_is_known = wrong.iter().all(|wrong| wrong.setting != CONFIG);
    let (mut good, mut from_file, mut named) = (Vec::new(), Vec::new(), BTreeSet::new());
    for arg in settings(command) {
        let Some(Found { from, in_file, values }) = Found::of(arg, &given, &file) else {
            wrong.extend(missing(arg).filter(|_| all_is_known));
            continue;
        };
        named.insert(name_of(arg));
        match values.map_err(|why| (None, why)).and_then(|values| refuse(arg, &values).map_or(Ok(values), Err)) {
            Err((value, why)) => wrong.push(because(arg, value, from, why)),
            Ok(values) if is_switched_off(arg, &values) => drop(named.remove(name_of(arg))),
            Ok(values) => {
                if in_file {
                    from_file.extend(as_arguments(arg, values.clone()));
                }
                good.push(Setting { arg, from, values });
            }
        }
    }
    wrong.extend(together::refuse(command, &good, &named));
    if wrong.is_empty() {
        return Ok([arguments, from_file].concat());
    }
    let rest = good.into_iter().flat_map(|Setting { arg, values, .. }| as_arguments(arg, values));
    Err(Box::new(Refused {
        wrong: SettingsWrong(wrong.iter().map(ToString::to_string).collect()),
        command: root.clone().mut_subcommand(command.get_name(), alone),
        rest: arguments.iter().take(2).cloned().chain(rest).collect(),
    }))
}

/// The settings in a file that are for nobody else to read.
#[must_use]
pub fn secrets_in(root: &Command, path: &Path) -> Vec<String> {
    let (file, _) = FileSettings::read(path, &known(root));
    let is_secret = |arg: &&Arg| {
        let values = file.get(name_of(arg)).and_then(|entry| entry.values.arguments(arg).ok());
        values.is_some_and(|values| values.iter().any(|value| value::is_secret(arg, value)))
    };
    let secrets: BTreeSet<_> = with_file(root).flat_map(settings).filter(is_secret).map(name_of).collect();
    secrets.into_iter().map(str::to_owned).collect()
}

/// Where a setting stands first, and what it says there.
struct Found {
    from: String,
    in_file: bool,
    values: Result<Vec<OsString>, String>,
}

impl Found {
    fn of(arg: &Arg, given: &[(&clap::Id, Option<OsString>)], file: &FileSettings) -> Option<Self> {
        let flag = given.iter().filter(|(id, _)| *id == arg.get_id()).map(|(_, value)| value.clone());
        let flag: Vec<_> = flag.map(|value| value.unwrap_or_else(|| "true".into())).collect();
        if !flag.is_empty() {
            return Some(Self { from: long(arg), in_file: false, values: Ok(flag) });
        }
        let name = arg.get_env()?;
        if let Some(value) = variable(name) {
            return Some(Self { from: name.to_string_lossy().into_owned(), in_file: false, values: Ok(vec![value]) });
        }
        let Entry { line, values } = file.get(name_of(arg))?;
        let from = format!("{}:{line}", file.path.display());
        Some(Self { from, in_file: true, values: values.arguments(arg) })
    }
}

fn is_switched_off(arg: &Arg, values: &[OsString]) -> bool {
    !takes_value(arg) && values.iter().all(|value| value != "true")
}

fn missing(arg: &Arg) -> Option<Wrong> {
    let from = || format!("{} or {}", long(arg), arg.get_env().unwrap_or_default().to_string_lossy());
    let example = if arg.get_id() == "database_url" { EXAMPLES } else { "" };
    arg.is_required_set().then(|| because(arg, None, from(), format!("must be set{example}")))
}

fn because(arg: &Arg, value: Option<String>, from: String, why: String) -> Wrong {
    Wrong { setting: name_of(arg).to_owned(), value, from, why }
}

/// A command that takes any of its settings without the others.
fn alone(command: Command) -> Command {
    let names: BTreeSet<_> = settings(&command).map(|arg| arg.get_id().clone()).collect();
    command.mut_args(|arg| {
        if !names.contains(arg.get_id()) {
            return arg;
        }
        arg.env(Resettable::Reset).requires(Resettable::Reset).conflicts_with(Resettable::Reset).required(false)
    })
}

fn with_file(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands().filter(|command| has_file(command))
}

fn known(root: &Command) -> BTreeSet<&str> {
    with_file(root).flat_map(settings).map(name_of).collect()
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
    let (file, refused) = FileSettings::read(&path, &known(root));
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

#[expect(clippy::disallowed_methods, reason = "this is the room that reads the environment")]
fn variables_that_are_set() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}
