use super::Finding;

/// What is open besides connections: sessions with the database and its files, probes, notices under way, and what is kept free.
const BESIDE: u64 = 256;

/// How many files a server may have open (`None`: there is no limit), against the connections that it is to take.
#[must_use]
pub fn open_files(most: Option<u64>, connections: usize) -> Finding {
    const OF: &str = "open files";
    let needed = (connections as u64).saturating_add(BESIDE);
    match most {
        None => Finding::ok(OF, "there is no limit"),
        Some(most) if most >= needed => Finding::ok(OF, format!("{most} may be, {connections} of them connections")),
        Some(most) => {
            let said = format!(
                "only {most} may be, and --max-connections is {connections}: whoever opens enough of them leaves none for the \
                 database and for probes"
            );
            let advice =
                format!("raise the hard limit to {needed} (`LimitNOFILE=`, `ulimit -Hn`), or lower --max-connections");
            Finding::warn(OF, said, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    #[test]
    fn what_is_open_besides_connections_has_room_too() {
        for (most, level) in
            [(None, Level::Ok), (Some(1_256), Level::Ok), (Some(1_255), Level::Warn), (Some(0), Level::Warn)]
        {
            let found = open_files(most, 1_000);
            assert_eq!((found.level, found.advice.is_some()), (level, level == Level::Warn), "{found:?}");
        }
        assert!(open_files(Some(1_024), 10_000).advice.is_some_and(|advice| advice.contains("to 10256 (")));
    }
}
