use std::{collections::BTreeSet, ffi::OsString};

use clap::{
    Command,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{Setting, Wrong, as_arguments, because, long, name_of, settings};

/// What does not go together, by the flags' own declarations: clap tells the first of it, and none of it where
/// a value is wrong. `named` are the names of all that are given, also of those that are wrong.
pub(super) fn refuse(command: &Command, good: &[Setting<'_>], named: &BTreeSet<&str>) -> Vec<Wrong> {
    let by_itself = Command::new("setting").no_binary_name(true).disable_help_flag(true);
    let by_itself = by_itself.args(settings(command).map(|arg| arg.clone().env(Resettable::Reset).required(false)));
    let (mut wrong, mut told) = (Vec::new(), BTreeSet::new());
    for Setting { arg, from, values } in good {
        let mut say = |why: String| wrong.push(because(arg, None, from.clone(), why));
        for name in needed(by_itself.clone(), as_arguments(arg, values.clone())) {
            // Also what those need that it needs: once is enough.
            if !named.contains(name.as_str()) && told.insert(name.clone()) {
                say(format!("needs --{name}"));
            }
        }
        for other in command.get_arg_conflicts_with(arg).into_iter().filter(|other| named.contains(name_of(other))) {
            say(format!("does not go together with {}", long(other)));
        }
    }
    wrong
}

/// The names of the flags without which this one is refused.
fn needed(command: Command, alone: Vec<OsString>) -> Vec<String> {
    let Err(error) = command.try_get_matches_from(alone) else { return Vec::new() };
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(flags))) => {
            // As usage has them: --name <VALUE>.
            let name = |flag: &String| Some(flag.strip_prefix("--")?.split(' ').next()?.to_owned());
            flags.iter().filter_map(name).collect()
        }
        _ => Vec::new(),
    }
}
