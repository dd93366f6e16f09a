//! Every command with its flags, variables and defaults, as clap itself knows them.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use portcullis::cli::Cli;

use super::escaped;

pub(super) fn page() -> String {
    let mut root = Cli::command().term_width(0);
    root.build();
    let mut text =
        "# Command line\n\nMade from the program's own `--help`. Each flag that names a variable may be given by it.\n"
            .to_owned();
    command(&root, &mut text);
    text
}

fn command(of: &Command, text: &mut String) {
    let name = of.get_bin_name().unwrap_or(of.get_name());
    let _ = write!(text, "\n## {name}\n");
    if let Some(about) = of.get_long_about().or(of.get_about()) {
        let _ = write!(text, "\n{}\n", escaped(&about.to_string()));
    }
    let _ = write!(text, "\n```text\n{}\n```\n", of.clone().render_usage().to_string().trim_start_matches("Usage: "));
    let shown = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let arguments: Vec<_> = of.get_arguments().filter(shown).collect();
    if !arguments.is_empty() {
        text.push_str("\n| Flag | Variable | Default | Meaning |\n|---|---|---|---|\n");
        arguments.iter().for_each(|arg| row(arg, text));
    }
    if let Some(after) = of.get_after_long_help().or(of.get_after_help()) {
        let _ = write!(text, "\n```text\n{}\n```\n", after.to_string().trim());
    }
    for under in of.get_subcommands().filter(|under| under.get_name() != "help" && !under.is_hide_set()) {
        command(under, text);
    }
}

fn row(arg: &Arg, text: &mut String) {
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let value = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let flag = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) if takes => format!("--{long} {value}"),
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) if takes => format!("-{short} {value}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => value,
    };
    let variable = arg.get_env().map(|name| format!("`{}`", name.display())).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default =
        if takes && !defaults.concat().is_empty() { format!("`{}`", defaults.join(" ")) } else { String::new() };
    let mut meaning = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let choices: Vec<_> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes && !choices.is_empty() {
        let _ = write!(meaning, " One of {}.", choices.join(", "));
    }
    let required = if arg.is_required_set() { " (required)" } else { "" };
    let meaning = escaped(&meaning).replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ");
    let _ = writeln!(text, "| `{flag}`{required} | {variable} | {default} | {meaning} |");
}
