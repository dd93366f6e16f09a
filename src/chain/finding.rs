/// What is wrong with a log, and where. The words are for whoever has to act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    #[error("event {seq} was edited: its fields do not give its hash")]
    Edited { seq: i64 },
    /// Its fields give its hash in another place.
    #[error("{} in a place that is not theirs, from what was written as event {written_as} on: events were reordered, removed or put in", places(*.first, *.last, "is", "are"))]
    Moved { first: i64, last: i64, written_as: i64 },
    #[error("event {seq} was written behind another event {} than the one that is there: that one was rewritten, removed or put in", seq - 1)]
    Unlinked { seq: i64 },
    #[error("{} missing: removed", places(*.first, *.last, "is", "are"))]
    Removed { first: i64, last: i64 },
    #[error("event {seq} came behind event {after}: the log is not in order")]
    Disordered { seq: i64, after: i64 },
    #[error("the tail is cut off: {head} events were written, and the last one that is there is {last}")]
    Cut { last: i64, head: i64 },
    #[error("{head} events were written, and there is an event {last}: it was put in")]
    Beyond { last: i64, head: i64 },
    #[error("event {seq}, the last one, is not the one that was written last: it was rewritten")]
    Head { seq: i64 },
    #[error(
        "{rows} rows of the log's table have no place in the chain: stop the server and run `portcullis migrate`, which chains what an older version wrote; if none wrote here, they were put in"
    )]
    Loose { rows: i64 },
    #[error("the tail is cut off: {checkpoint} was signed when event {seq} was the last, and the last one that is there is {last}{}", elsewhere(*.other_history))]
    CutSince { checkpoint: String, seq: i64, last: i64, other_history: bool },
    #[error("event {seq} is not the one that {checkpoint} was signed over: the log was rewritten or replaced since{}", elsewhere(*.other_history))]
    Rewritten { checkpoint: String, seq: i64, other_history: bool },
}

fn places(first: i64, last: i64, one: &str, more: &str) -> String {
    if first == last { format!("event {first} {one}") } else { format!("events {first} to {last} {more}") }
}

fn elsewhere(other_history: bool) -> &'static str {
    if other_history { "; it is of another history: was it made by this server, and by this database?" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_and_several_are_told_apart() {
        let told = |last| Finding::Removed { first: 3, last }.to_string();
        assert_eq!(told(3), "event 3 is missing: removed");
        assert_eq!(told(5), "events 3 to 5 are missing: removed");
    }
}
