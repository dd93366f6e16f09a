use std::collections::BTreeSet;

use clap::Command;

use super::{Wrong, variables_that_are_set};

const OURS: &str = "PORTCULLIS_";
/// Letters apart.
const NEAR: usize = 2;
/// What Kubernetes sets for a service, here one whose name begins with ours.
const OF_SERVICES: [&str; 3] = ["_PORT", "_SERVICE_HOST", "_SERVICE_PORT"];

/// Variables that nobody reads, and that are nearly called as one that somebody does: they would be passed over.
pub(super) fn misspelt(root: &Command) -> Vec<Wrong> {
    let mut known = BTreeSet::new();
    variables(root, &mut known);
    variables_that_are_set().filter_map(|name| Some(because(&name, nearest(&name, &known)?))).collect()
}

fn variables(command: &Command, known: &mut BTreeSet<String>) {
    known.extend(command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned())));
    command.get_subcommands().for_each(|command| variables(command, known));
}

fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a String> {
    let is_of_a_service = OF_SERVICES.iter().any(|end| name.ends_with(end)) || name.contains("_PORT_");
    if !name.starts_with(OURS) || known.contains(name) || is_of_a_service {
        return None;
    }
    let (distance, near) = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min()?;
    (distance <= NEAR).then_some(near)
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
        let known = ["PORTCULLIS_MAX_WATCHES", "PORTCULLIS_LOG", "PORTCULLIS_TLS_CERT"].map(str::to_owned).into();
        let near = |name| nearest(name, &known).map(String::as_str);
        assert_eq!(near("PORTCULLIS_MAX_WACTHES"), Some("PORTCULLIS_MAX_WATCHES"));
        assert_eq!(near("PORTCULLIS_DRAINS"), Some("PORTCULLIS_DRAIN"));
        for name in ["PORTCULLIS_LOG", "PORTCULLIS_PORT", "PORTCULLIS_SERVICE_HOST", "PORTCULLIS_PORT_50051_TCP", "LOG"]
        {
            assert_eq!(near(name), None, "{name}");
        }
    }
}
