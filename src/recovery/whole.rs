//! Whether archives hold all that was lost.

use std::collections::BTreeMap;

use super::{NotRecovered, archive::Part};
use crate::{domain::id::Revision, store::Restored};

/// Whether the archives hold every revision that was lost.
pub(super) fn must_be_whole(restored: &Restored, parts: &[&Part]) -> Result<(), NotRecovered> {
    let mut spans: Vec<_> = parts.iter().map(|part| (part.after, part.last)).collect();
    let Some(reach) = spans.iter().map(|(_, last)| *last).max() else {
        return Err(NotRecovered::Nothing { holds: restored.holds });
    };
    let lost_to = restored.lost_to.ok_or(NotRecovered::EndUnknown { reach })?;
    spans.sort_unstable();
    let mut to = restored.holds;
    for (after, last) in spans {
        if after > to && to < lost_to {
            return Err(NotRecovered::Gap { from: to.next(), to: after.min(lost_to) });
        }
        to = to.max(last);
    }
    if to < lost_to { Err(NotRecovered::Gap { from: to.next(), to: lost_to }) } else { Ok(()) }
}

/// How many mutations were lost that no watcher was told of: keys and applications that were made or changed, and
/// all that became of accounts. What one archive tells and another one that holds the same revision does not is
/// no revocation of the history that both should be of.
pub(super) fn not_told(restored: &Restored, parts: &[&Part]) -> i64 {
    let lost = restored.holds..restored.lost_to.unwrap_or_default();
    let mut tellers: BTreeMap<Revision, usize> = BTreeMap::new();
    for part in parts {
        let mut before = part.after;
        for told in &part.told {
            let revision = told.revision;
            let is_lost = lost.start < revision && revision <= lost.end;
            // Several items of one event are one mutation.
            if is_lost && before < revision && revision <= part.last {
                *tellers.entry(revision).or_default() += 1;
            }
            before = before.max(revision);
        }
    }
    let spans = || parts.iter().filter(|part| part.after < part.last);
    let [mut begin, mut end]: [Vec<Revision>; 2] =
        [spans().map(|part| part.after).collect(), spans().map(|part| part.last).collect()];
    begin.sort_unstable();
    end.sort_unstable();
    let holders = |revision: Revision| {
        begin.partition_point(|after| *after < revision) - end.partition_point(|last| *last < revision)
    };
    let told = tellers.iter().filter(|(revision, tellers)| **tellers == holders(**revision)).count();
    let told = i64::try_from(told).unwrap_or(i64::MAX);
    lost.end.number().saturating_sub(lost.start.number()).saturating_sub(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::time::Timestamp,
        recovery::archive::{
            Archive,
            tests::{HISTORY, bookmark, marks, revoked},
        },
    };

    fn revision(number: i64) -> Revision {
        Revision::new(number)
    }

    fn gap(lost_to: i64, parts: &[&str]) -> Option<(i64, i64)> {
        let restored = restored(Some(revision(lost_to)));
        let parts: Vec<_> =
            parts.iter().flat_map(|text| Archive::read(text.as_bytes()).expect("lines").parts).collect();
        match must_be_whole(&restored, &parts.iter().collect::<Vec<_>>()) {
            Ok(()) => None,
            Err(NotRecovered::Gap { from, to }) => Some((from.number(), to.number())),
            Err(other) => panic!("{other}"),
        }
    }

    fn restored(lost_to: Option<Revision>) -> Restored {
        Restored { log_id: HISTORY, time: Timestamp::from_micros(1), holds: revision(20), lost_to }
    }

    #[test]
    fn archives_must_hold_every_revision_that_was_lost() {
        assert_eq!(gap(30, &[&marks(&[20, 30])]), None);
        assert_eq!(gap(30, &[&marks(&[5, 31])]), None);
        assert_eq!(gap(30, &[&marks(&[20, 29])]), Some((30, 30)));
        assert_eq!(gap(30, &[&marks(&[22, 30])]), Some((21, 22)), "its first bookmark says nothing of what was before");
        assert_eq!(gap(30, &[&marks(&[25, 30]), &marks(&[10, 25])]), None, "in whatever order");
        assert_eq!(gap(30, &[&marks(&[10, 24]), &marks(&[26, 30])]), Some((25, 26)));
        let anew = marks(&[10, 24]) + &marks(&[26, 30]);
        assert_eq!(gap(30, &[&anew]), Some((25, 26)), "a watch that began anew, in the same file");
        assert_eq!(gap(20, &[&marks(&[21])]), None, "nothing was lost");
    }

    #[test]
    fn where_the_end_is_not_known_no_archive_is_whole() {
        let restored = restored(None);
        let archive = Archive::read(marks(&[20, 30]).as_bytes()).expect("lines");
        assert!(matches!(must_be_whole(&restored, &[&archive.parts[0]]), Err(NotRecovered::EndUnknown { .. })));
        assert!(matches!(must_be_whole(&restored, &[]), Err(NotRecovered::Nothing { .. })));
    }

    #[test]
    fn what_begins_with_a_revocation_says_nothing_of_what_was_before_it() {
        assert_eq!(gap(30, &[&(revoked(21) + &bookmark(30, false))]), Some((21, 21)));
        assert_eq!(gap(30, &[&marks(&[20, 24]), &(revoked(25) + &bookmark(30, false))]), Some((25, 25)));
        assert_eq!(gap(30, &[&marks(&[20, 25]), &(revoked(25) + &bookmark(30, false))]), None);
    }

    #[test]
    fn a_revocation_that_another_archive_of_the_same_revisions_does_not_tell_is_no_known_mutation() {
        let count = |texts: &[&str]| {
            let parts: Vec<_> =
                texts.iter().flat_map(|text| Archive::read(text.as_bytes()).expect("lines").parts).collect();
            not_told(&restored(Some(revision(25))), &parts.iter().collect::<Vec<_>>())
        };
        let all = bookmark(20, true) + &revoked(21) + &revoked(22) + &revoked(22) + &bookmark(25, false);
        let none = marks(&[20, 25]);
        assert_eq!(count(&[&all]), 3, "23 to 25");
        assert_eq!(count(&[&all, &all]), 3, "two watchers");
        assert_eq!(count(&[&all, &none]), 5, "one of them is of another branch");
        assert_eq!(count(&[&all, &marks(&[22, 25])]), 3, "what it does not hold it does not tell");
        assert_eq!(count(&[&(bookmark(19, true) + &revoked(20) + &bookmark(25, false))]), 5, "the backup has it");
    }
}
