//! Which faults there were, and when.

use std::{
    collections::BTreeMap,
    fmt::{self, Debug, Display},
    sync::Mutex,
    time::Instant,
};

/// All faults of a run, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Happened(Mutex<Vec<One>>);

#[derive(Debug)]
struct One {
    kind: String,
    begun: Instant,
    ended: Option<Instant>,
}

/// One goes on until this is dropped.
#[derive(Debug)]
pub(crate) struct Underway<'a> {
    all: &'a Happened,
    number: usize,
}

impl Happened {
    pub(crate) fn begins(&self, to: &str, fault: impl Debug) -> Underway<'_> {
        let mut all = self.0.lock().expect("lock");
        all.push(One { kind: format!("{to}: {fault:?}"), begun: Instant::now(), ended: None });
        Underway { all: self, number: all.len() - 1 }
    }

    /// Whether what went on from one moment to another did so beside a fault, for a part of the time at least.
    pub(crate) fn beside(&self, from: Instant, until: Instant) -> bool {
        let all = self.0.lock().expect("lock");
        all.iter().any(|one| one.begun <= until && one.ended.is_none_or(|ended| ended >= from))
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.all.0.lock().expect("lock")[self.number].ended = Some(Instant::now());
    }
}

/// How often which happened.
impl Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.lock().expect("lock");
        let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
        for one in all.iter() {
            *by_kind.entry(&one.kind).or_default() += 1;
        }
        let each: Vec<_> = by_kind.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        write!(f, "{} faults: {}", all.len(), each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_overlaps_a_fault_is_beside_it() {
        let happened = Happened::default();
        // What begins at the same moment as another ends is beside it: these do not.
        let now = || {
            std::thread::sleep(Duration::from_millis(1));
            Instant::now()
        };
        let (first, second) = (now(), now());
        let underway = happened.begins("replica", "Pause");
        let (third, fourth) = (now(), now());
        assert!(!happened.beside(first, second) && happened.beside(third, fourth), "it goes on");
        drop(underway);
        let (fifth, sixth) = (now(), now());
        assert!(!happened.beside(fifth, sixth), "it was over");
        assert!(happened.beside(first, third) && happened.beside(fourth, fifth) && happened.beside(first, sixth));
        drop(happened.begins("database", "Stop"));
        drop(happened.begins("replica", "Pause"));
        assert_eq!(happened.to_string(), r#"3 faults: database: "Stop" 1, replica: "Pause" 2"#);
    }
}
