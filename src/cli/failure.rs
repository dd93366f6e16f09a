use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use tonic::Status;
use tonic_types::{FieldViolation, StatusExt as _};

#[cfg(feature = "client")]
use super::hint::unreachable;
use super::{
    clean::clean,
    hint::{hint, lost},
};
#[cfg(feature = "server")]
use crate::config::SettingsWrong;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be tried as asked. Exit code 2, as clap's own.
    Usage(String),
    /// As many settings as are wrong. Exit code 2.
    #[cfg(feature = "server")]
    Settings(SettingsWrong),
    /// The server, or the way to it, said no. Exit code 1.
    Status(Status),
    /// The same, to a command whose flags made the request. Exit code 1.
    #[cfg(feature = "client")]
    Refused(Box<Refused>),
    /// There is no way to the server. Exit code 1.
    #[cfg(feature = "client")]
    Unreachable(String),
    /// It failed on this machine. Exit code 1.
    Failed(String),
    /// Whoever read standard output has seen enough, as `head` does. Exit code 0.
    ReaderGone,
}

/// A refusal in the terms of the command line.
#[cfg(feature = "client")]
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: Status,
    /// By which flag a field is set, if by one.
    pub(super) flag: fn(&str) -> Option<&'static str>,
    /// What else is known.
    pub(super) note: Option<String>,
}

impl Failure {
    pub(super) fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }

    #[cfg(feature = "server")]
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// Of settings that are wrong: one in its own words, more in a list.
    #[cfg(feature = "server")]
    pub(super) fn settings<E: std::fmt::Display>(wrong: impl IntoIterator<Item = E>) -> Self {
        let wrong: Vec<_> = wrong.into_iter().map(|error| error.to_string()).collect();
        match <[String; 1]>::try_from(wrong) {
            Ok([one]) => Self::Usage(one),
            Err(more) => Self::Settings(SettingsWrong::of(more)),
        }
    }

    /// Says it on standard error.
    pub(super) fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Usage(why) => (format!("error: {}\n", clean(why)), 2),
            #[cfg(feature = "server")]
            Self::Settings(wrong) => (format!("error: {wrong}"), 2),
            Self::Status(status) => (describe(status, |_| None, None), 1),
            #[cfg(feature = "client")]
            Self::Refused(refused) => (describe(&refused.status, refused.flag, refused.note.as_deref()), 1),
            #[cfg(feature = "client")]
            Self::Unreachable(why) => (format!("error: {}\nhint: {}\n", clean(why), unreachable(why)), 1),
            Self::Failed(why) => (format!("error: {}\n", clean(why)), 1),
            Self::ReaderGone => return ExitCode::SUCCESS,
        };
        // Where standard error is closed, the exit code alone says it.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(code)
    }
}

/// A status and its google.rpc details: the code and message, then one thing a line, and what to
/// do next.
fn describe(status: &Status, flag: impl Fn(&str) -> Option<&'static str>, note: Option<&str>) -> String {
    let details = status.get_error_details();
    let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
    let mut text = format!("error: {}: {}\n", code_name(status), clean(&headline(&said(status), violations)));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {}: {}", clean(name), clean(value));
    };
    if let Some(info) = details.error_info() {
        line("reason", &info.reason);
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (name, value) in metadata {
            line(name, value);
        }
    }
    for violation in violations {
        let name = match flag(&violation.field) {
            Some(flag) => format!("{flag} ({})", violation.field),
            None => format!("field {}", violation.field),
        };
        line(&name, &violation.description);
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        line("retry after", &humantime::format_duration(delay).to_string());
    }
    let in_metadata = || status.metadata().get("x-request-id").and_then(|id| id.to_str().ok());
    if let Some(id) = details.request_info().map(|info| info.request_id.as_str()).or_else(in_metadata) {
        line("request id", id);
    }
    let next = if cause(status).is_some() { Some(lost(status.code())) } else { hint(status) };
    for next in next.into_iter().chain(note) {
        let _ = writeln!(text, "hint: {}", clean(next));
    }
    text
}

/// The message, without the field that it names as the first one: each has a line of its own below.
fn headline(message: &str, violations: &[FieldViolation]) -> String {
    let first = violations.first().map(|first| format!("{}: {}", first.field, first.description));
    let Some((before, _)) = first.and_then(|first| message.split_once(&first)) else { return message.to_owned() };
    format!("{before}{}", if violations.len() == 1 { "a field is refused" } else { "several fields are refused" })
}

/// What a status says; where it is of the way to the server, what happened there.
pub(super) fn said(status: &Status) -> Cow<'_, str> {
    match cause(status) {
        Some(cause) if !status.message().contains(&cause) => Cow::Owned(format!("the connection ended: {cause}")),
        _ => Cow::Borrowed(status.message()),
    }
}

#[cfg(feature = "client")]
fn cause(status: &Status) -> Option<String> {
    crate::client::cause(status)
}

/// Without a client there is no way that could end.
#[cfg(not(feature = "client"))]
fn cause(_: &Status) -> Option<String> {
    None
}

/// `PERMISSION_DENIED`, as the documentation spells it; tonic has `PermissionDenied`.
fn code_name(status: &Status) -> String {
    let mut name = String::new();
    for (at, letter) in format!("{:?}", status.code()).char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use tonic::Code;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn every_detail_of_a_status_is_told_on_a_line_of_its_own() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("FIELD_INVALID", "portcullis", HashMap::from([("limit".to_owned(), "128".to_owned())]))
            .set_retry_info(Some(Duration::from_millis(1500)))
            .set_request_info("r-1", "")
            .add_bad_request_violation("name", "must not be empty")
            .add_bad_request_violation("labels[0].key", "must be 1 to 63 characters");
        let status = Status::with_error_details(Code::InvalidArgument, "2 fields are invalid", details);
        assert_eq!(
            describe(&status, |_| None, None),
            "error: INVALID_ARGUMENT: 2 fields are invalid\n  reason: FIELD_INVALID\n  limit: 128\n  \
             field name: must not be empty\n  field labels[0].key: must be 1 to 63 characters\n  \
             retry after: 1s 500ms\n  request id: r-1\n"
        );
        let by_flag = describe(&status, |field| (field == "name").then_some("--name"), Some("and more"));
        assert!(by_flag.contains("\n  --name (name): must not be empty\n  field labels[0].key: must"), "{by_flag}");
        assert!(by_flag.ends_with("\n  request id: r-1\nhint: and more\n"), "{by_flag}");
    }

    #[test]
    fn a_field_is_told_once() {
        let told = |message: &str, fields: &[(&str, &str)]| {
            let mut details = ErrorDetails::new();
            for (field, why) in fields {
                details.add_bad_request_violation(*field, *why);
            }
            describe(&Status::with_error_details(Code::InvalidArgument, message, details), |_| None, None)
        };
        assert_eq!(
            told("name: must not be empty", &[("name", "must not be empty")]),
            "error: INVALID_ARGUMENT: a field is refused\n  field name: must not be empty\n"
        );
        assert_eq!(
            told("nothing was imported: a: b (and 1 more)", &[("a", "b"), ("c", "d")]),
            "error: INVALID_ARGUMENT: nothing was imported: several fields are refused\n  field a: b\n  field c: d\n"
        );
    }

    #[test]
    fn the_request_id_of_a_bare_status_comes_from_its_metadata() {
        let mut status = Status::unavailable("try again");
        status.metadata_mut().insert("x-request-id", "r-2".parse().expect("ascii"));
        let described = describe(&status, |_| None, None);
        assert!(
            described.starts_with("error: UNAVAILABLE: try again\n  request id: r-2\nhint: is the server"),
            "{described}"
        );
    }

    #[test]
    fn a_terminal_does_not_obey_the_server() {
        let described = describe(&Status::internal("\u{1b}[2Jgone"), |_| None, None);
        assert!(described.starts_with("error: INTERNAL: \u{fffd}[2Jgone\n"), "{described}");
    }
}
