use std::{error::Error as _, ffi::OsString};

use clap::{
    Arg, ArgAction, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{store::DatabaseUrl, telemetry::OtlpHeaders};

/// Whether the flag's own parser takes these; else what is shown of the wrong one, and why it is wrong.
pub(super) fn refuse(arg: &Arg, values: &[OsString]) -> Option<(Option<String>, String)> {
    values.iter().find_map(|value| {
        let why = parse(arg, value).err()?;
        Some((shown(arg, value), why))
    })
}

fn parse(arg: &Arg, value: &OsString) -> Result<(), String> {
    const NAME: &str = "value";
    let mut alone = Arg::new(NAME).long(NAME).action(ArgAction::Append).num_args(1).require_equals(true);
    alone = alone.value_parser(arg.get_value_parser().clone());
    if let Some(delimiter) = arg.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let mut argument = OsString::from(format!("--{NAME}="));
    argument.push(value);
    let command = Command::new("setting").no_binary_name(true).disable_help_flag(true).arg(alone);
    command.try_get_matches_from([argument]).map_err(|error| why(&error))?;
    // The parsers of these say nothing, since clap would repeat the password.
    let text = || value.to_str().ok_or_else(|| "not UTF-8".to_owned());
    match arg.get_id().as_str() {
        "database_url" => text()?.parse::<DatabaseUrl>().map(drop).map_err(|error| error.to_string()),
        "otlp_headers" => text()?.parse::<OtlpHeaders>().map(drop).map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

fn why(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
            format!("must be one of {}", valid.join(", "))
        }
        (ErrorKind::InvalidUtf8, _) => "not UTF-8".to_owned(),
        _ => "must not be empty".to_owned(),
    }
}

/// Whether it is for nobody else to read.
pub(super) fn is_secret(arg: &Arg, value: &OsString) -> bool {
    !value.to_string_lossy().starts_with("sqlite:") && shown(arg, value).is_none()
}

/// Nothing of what may be a secret.
fn shown(arg: &Arg, value: &OsString) -> Option<String> {
    let text = value.to_string_lossy();
    let has_password = text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    (!arg.is_hide_env_values_set() && !has_password).then(|| text.into_owned())
}
