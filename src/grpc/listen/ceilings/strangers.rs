use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    net::IpAddr,
};

use tokio::sync::oneshot;

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
pub(super) struct Strangers(HashMap<Origin, BTreeMap<u64, oneshot::Sender<Last>>>);

impl Strangers {
    /// What a connection is told by that it is given up; nobody can be any more that is let go of.
    pub(super) fn enter(&mut self, origin: Origin, number: u64) -> oneshot::Receiver<Last> {
        let (give_up, given_up) = oneshot::channel();
        self.0.entry(origin).or_default().insert(number, give_up);
        given_up
    }

    pub(super) fn leave(&mut self, origin: Origin, number: u64) {
        self.take(origin, number);
    }

    fn take(&mut self, origin: Origin, number: u64) -> Option<oneshot::Sender<Last>> {
        let held = self.0.get_mut(&origin)?;
        let taken = held.remove(&number);
        if held.is_empty() {
            self.0.remove(&origin);
        }
        taken
    }

    /// Gives up the oldest of whoever has the most, the newcomer counted in: so one address takes no place of
    /// another that has fewer, however many it opens. Places that are kept for this machine go to nobody else.
    pub(super) fn give_up(&mut self, newcomer: Origin) -> Option<Leaver> {
        let may = |who: &Origin| newcomer.is_local || !who.is_local;
        let held = self.0.iter().filter(|(who, _)| may(who));
        let oldest = held.filter_map(|(who, held)| Some((*who, held.len(), *held.first_key_value()?.0)));
        let (who, _, number) =
            oldest.max_by_key(|(who, has, number)| (has + usize::from(*who == newcomer), Reverse(*number)))?;
        let (last, gone) = oneshot::channel();
        let _ = self.take(who, number)?.send(last); // or it has just ended by itself
        Some(Leaver { household: who.household, gone })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(number: u8) -> Origin {
        Origin::of([192, 0, 2, number].into())
    }

    /// Who gives up its place of those that came in this order, and which.
    fn goes(held: &[Origin], newcomer: Origin) -> Option<usize> {
        let mut strangers = Strangers::default();
        let mut told: Vec<_> = (0..).zip(held).map(|(number, who)| strangers.enter(*who, number)).collect();
        strangers.give_up(newcomer)?;
        let mut given_up = (0..held.len()).filter(|at| told[*at].try_recv().is_ok());
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
        let mut proven = strangers.enter(origin(1), 0);
        strangers.leave(origin(1), 0);
        assert!(proven.try_recv().is_err());
        assert!(strangers.give_up(origin(2)).is_none());
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
