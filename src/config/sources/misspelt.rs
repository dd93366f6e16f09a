use std::collections::BTreeSet;

use clap::Command;

use super::{Wrong, settings, variables_that_are_set, with_file};

const OURS: &str = "PORTCULLIS_";
/// Letters apart that are a slip of the fingers; one in a name that is shorter than `SHORT`.
const NEAR: usize = 2;
const SHORT: usize = 6;
/// What Kubernetes sets for a service, here one whose name begins with ours.
const OF_SERVICES: [&str; 3] = ["_PORT", "_SERVICE_HOST", "_SERVICE_PORT"];

/// Variables that nobody reads, and that are nearly called as a setting: they would be passed over.
pub(super) fn misspelt(root: &Command) -> Vec<Wrong> {
    let mut read = BTreeSet::new();
    variables(root, &mut read);
    let known = with_file(root).flat_map(settings).filter_map(|arg| arg.get_env()?.to_str()).collect();
    let unread = variables_that_are_set().filter(|name| !read.contains(name.as_str()));
    unread.filter_map(|name| Some(because(&name, nearest(&name, &known)?))).collect()
}

fn variables<'a>(command: &'a Command, read: &mut BTreeSet<&'a str>) {
    read.extend(command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()));
    command.get_subcommands().for_each(|command| variables(command, read));
}

fn nearest<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    let of_us = name.strip_prefix(OURS)?;
    if OF_SERVICES.iter().any(|end| name.ends_with(end)) || of_us.contains("_PORT_") {
        return None;
    }
    let (distance, near) = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), *known)).min()?;
    (distance <= if of_us.len() < SHORT { 1 } else { NEAR }).then_some(near)
}

fn because(name: &str, near: &str) -> Wrong {
    let why = format!("there is no such variable; did you mean {near}?");
    Wrong { setting: name.to_owned(), value: None, from: "the environment".to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_called_as_a_setting_is_taken_for_it_and_what_others_set_is_not() {
        let known = ["PORTCULLIS_MAX_WATCHES", "PORTCULLIS_LOG", "PORTCULLIS_TLS_CERT"].into();
        let near = |name: &str| nearest(name, &known);
        assert_eq!(near("PORTCULLIS_MAX_WACTHES"), Some("PORTCULLIS_MAX_WATCHES"));
        assert_eq!(near("PORTCULLIS_LOGS"), Some("PORTCULLIS_LOG"));
        for name in ["PORTCULLIS_TAG", "PORTCULLIS_POD", "PORTCULLIS_OTHER", "LOG"] {
            assert_eq!(near(name), None, "{name}");
        }
        let ends =
            ["PORT", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_GRPC", "PORT_50051_TCP", "PORT_50051_TCP_ADDR"];
        for name in ["PORTCULLIS", "PORTCULLIS_TLS", "PORTCULLIS_LOG"]
            .iter()
            .flat_map(|of| ends.map(|end| format!("{of}_{end}")))
        {
            assert_eq!(near(&name), None, "{name}");
        }
    }
}
