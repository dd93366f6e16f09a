use std::{cmp::Reverse, net::IpAddr};

use tokio::task::JoinHandle;

use crate::guard::{self, Guard};

/// At once.
const PLACES: usize = 64;

/// The connections that are open, in the order in which they came.
///
/// Whoever comes is let in: a probe that finds no place has its pod killed. When all places are taken, whoever then has the
/// most of them gives up its oldest. So one address takes no place of another that has fewer, however many it opens.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
    household: IpAddr,
    talk: JoinHandle<()>,
}

impl Places {
    pub(super) async fn admit(&mut self, household: IpAddr, talk: impl Future<Output = ()> + Send + 'static) {
        self.0.retain(|place| !place.talk.is_finished());
        if self.0.len() >= PLACES {
            if !guard::on(Guard::Probes) {
                return;
            }
            let held: Vec<_> = self.0.iter().map(|place| place.household).collect();
            let Place { talk, .. } = self.0.remove(who_goes(&held, household));
            talk.abort();
            let _ = talk.await; // it is closed before another is taken: there are never more
        }
        self.0.push(Place { household, talk: tokio::spawn(talk) });
    }
}

/// Of places that are all taken, the one that is given up.
fn who_goes(held: &[IpAddr], newcomer: IpAddr) -> usize {
    let has = |who: IpAddr| held.iter().filter(|one| **one == who).count() + usize::from(who == newcomer);
    (0..held.len()).max_by_key(|at| (has(held[*at]), Reverse(*at))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    fn goes(held: &[u8], newcomer: u8) -> usize {
        who_goes(&held.iter().copied().map(address).collect::<Vec<_>>(), address(newcomer))
    }

    #[test]
    fn whoever_has_the_most_gives_up_its_oldest() {
        assert_eq!(goes(&[1, 2, 2, 2], 3), 1);
        assert_eq!(goes(&[1, 2, 2, 2], 2), 1, "its own, though another's is older");
        assert_eq!(goes(&[1, 2, 3, 4], 3), 2, "with the newcomer it would have two");
        assert_eq!(goes(&[1, 2, 3, 4], 5), 0, "as many addresses as places: the oldest of all");
    }

    proptest! {
        #[test]
        fn nobody_loses_a_place_to_one_that_has_more(held in prop::collection::vec(0..8u8, 1..64), newcomer in 0..8u8) {
            let loser = held[goes(&held, newcomer)];
            let has = |who| held.iter().filter(|one| **one == who).count() + usize::from(who == newcomer);
            prop_assert!((0..8).all(|who| has(who) <= has(loser)));
        }
    }
}
