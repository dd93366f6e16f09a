use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    net::IpAddr,
};

use tokio::{sync::oneshot, time::Instant};

use crate::domain::subnet::household;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) household: IpAddr,
    /// From this machine.
    pub(super) is_local: bool,
}

impl Origin {
    pub(super) fn of(address: IpAddr) -> Self {
        Self { household: household(address), is_local: address.to_canonical().is_loopback() }
    }
}

/// Held by a connection that is given up, to its end.
pub(super) type Last = oneshot::Sender<Infallible>;

/// A connection that is given up, and ends.
#[derive(Debug)]
pub(in crate::grpc::listen) struct Leaver {
    pub(in crate::grpc::listen) household: IpAddr,
    gone: oneshot::Receiver<Infallible>,
}

impl Leaver {
    /// When it has ended.
    pub(in crate::grpc::listen) async fn gone(self) {
        let _ = self.gone.await; // its end is all that is heard of it
    }
}

/// Connections of which no call has proved who makes it, by where they come from and in the order in which
/// they came.
#[derive(Debug, Default)]
pub(super) struct Strangers(HashMap<Origin, BTreeMap<u64, Stranger>>);

#[derive(Debug)]
struct Stranger {
    give_up: oneshot::Sender<Last>,
    /// Until then it may be on its way to its first call.
    young_until: Instant,
}

impl Strangers {
    /// What a connection is told by that it is given up; nobody can be any more that is let go of.
    pub(super) fn enter(&mut self, origin: Origin, number: u64, young_until: Instant) -> oneshot::Receiver<Last> {
        let (give_up, given_up) = oneshot::channel();
        self.0.entry(origin).or_default().insert(number, Stranger { give_up, young_until });
        given_up
    }

    pub(super) fn leave(&mut self, origin: Origin, number: u64) {
        self.take(origin, number);
    }

    fn take(&mut self, origin: Origin, number: u64) -> Option<Stranger> {
        let held = self.0.get_mut(&origin)?;
        let taken = held.remove(&number);
        if held.is_empty() {
            self.0.remove(&origin);
        }
        taken
    }

    /// Gives up the oldest of whoever has the most, the newcomer counted in: so one address takes no place of
    /// another that has fewer, however many it opens. Places that are kept for this machine go to nobody else.
    ///
    /// As long as there are others, none goes that is young: those behind one address, who come one after the
    /// other, would cut each other off before their first call, and many addresses with one each would keep theirs.
    pub(super) fn give_up(&mut self, newcomer: Origin, now: Instant) -> Option<Leaver> {
        let may = |who: &Origin| newcomer.is_local || !who.is_local;
        let held = self.0.iter().filter(|(who, _)| may(who));
        let oldest = held.filter_map(|(who, held)| {
            let (number, oldest) = held.first_key_value()?;
            let has = held.len() + usize::from(*who == newcomer);
            Some((oldest.young_until <= now, has, Reverse(*number), *who))
        });
        let (.., Reverse(number), who) = oldest.max_by_key(|(is_old, has, number, _)| (*is_old, *has, *number))?;
        let (last, gone) = oneshot::channel();
        let _ = self.take(who, number)?.give_up.send(last); // or it has just ended by itself
        Some(Leaver { household: who.household, gone })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn origin(number: u8) -> Origin {
        Origin::of([192, 0, 2, number].into())
    }

    /// Who gives up its place of those that came in this order, and which.
    fn goes(held: &[Origin], newcomer: Origin) -> Option<usize> {
        goes_of(held.iter().map(|who| (*who, false)), newcomer)
    }

    /// The same, of those that are old or not.
    fn goes_of(held: impl ExactSizeIterator<Item = (Origin, bool)>, newcomer: Origin) -> Option<usize> {
        let (mut strangers, now, held) = (Strangers::default(), Instant::now(), held.enumerate());
        let mut told: Vec<_> = held
            .map(|(number, (who, is_old))| {
                let young_until = if is_old { now } else { now + Duration::from_secs(1) };
                strangers.enter(who, number as u64, young_until)
            })
            .collect();
        strangers.give_up(newcomer, now)?;
        let mut given_up = (0..told.len()).filter(|at| told[*at].try_recv().is_ok());
        let goes = given_up.next();
        assert!(goes.is_some() && given_up.next().is_none(), "one, and no other");
        goes
    }

    fn of(held: &[u8], newcomer: u8) -> Option<usize> {
        goes(&held.iter().copied().map(origin).collect::<Vec<_>>(), origin(newcomer))
    }

    #[test]
    fn whoever_has_the_most_gives_up_its_oldest() {
        assert_eq!(of(&[1, 2, 2, 2], 3), Some(1));
        assert_eq!(of(&[1, 2, 2, 2], 2), Some(1), "its own, though another's is older");
        assert_eq!(of(&[1, 2, 3, 4], 3), Some(2), "with the newcomer it would have two");
        assert_eq!(of(&[1, 2, 3, 4], 5), Some(0), "as many addresses as places: the oldest of all");
        assert_eq!(of(&[], 5), None);
    }

    #[test]
    fn many_that_have_one_each_do_not_keep_it_from_those_who_come_from_one_address() {
        let held = [(1, true), (2, true), (9, false), (9, false)].map(|(who, is_old)| (origin(who), is_old));
        assert_eq!(goes_of(held.into_iter(), origin(9)), Some(0), "not its sibling");
        let all_young = held.map(|(who, _)| (who, false));
        assert_eq!(goes_of(all_young.into_iter(), origin(9)), Some(2));
    }

    #[test]
    fn who_comes_from_this_machine_makes_room_for_its_own_only() {
        for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let local = Origin::of(local.parse().expect("an address"));
            assert_eq!(goes(&[local, local, origin(1)], origin(2)), Some(2));
            assert_eq!(goes(&[local, local], origin(2)), None);
            assert_eq!(goes(&[local, local, origin(1)], local), Some(0));
        }
    }

    #[test]
    fn who_has_proven_itself_or_has_ended_is_not_given_up_and_leaves_nothing_behind() {
        let mut strangers = Strangers::default();
        let mut proven = strangers.enter(origin(1), 0, Instant::now());
        strangers.leave(origin(1), 0);
        assert!(proven.try_recv().is_err());
        assert!(strangers.give_up(origin(2), Instant::now()).is_none());
        assert!(strangers.0.is_empty());
    }

    proptest! {
        #[test]
        fn nobody_loses_a_place_to_one_that_has_more(held in prop::collection::vec(0..8u8, 1..64), newcomer in 0..8u8) {
            let at = of(&held, newcomer).expect("somebody");
            let has = |who| held.iter().filter(|one| **one == who).count() + usize::from(who == newcomer);
            prop_assert!((0..8).all(|who| has(who) <= has(held[at]) || !held.contains(&who)));
            prop_assert!(!held[..at].contains(&held[at]), "its oldest");
        }
    }
}
