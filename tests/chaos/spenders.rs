//! A limit is a limit of all replicas together.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use portcullis::pb;
use tokio::task::JoinSet;

use crate::{
    book::Book,
    caller,
    dice::Dice,
    fleet::{Fleet, PATIENCE},
};

const LIMIT: i64 = 40;
const WINDOW: Duration = Duration::from_secs(2);

/// VALID calls of one key, by the time of day: it is the database's, too, on one machine.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    calls: Mutex<Vec<(Duration, Duration)>>,
}

impl Spent {
    /// Spends at every replica as fast as it is answered.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        fleet: &Arc<Fleet>,
        book: &Arc<Book>,
        seed: u64,
        tasks: &mut JoinSet<()>,
    ) {
        let limit = pb::RateLimit { name: "all".to_owned(), limit: LIMIT, window: WINDOW.try_into().ok() };
        let request =
            pb::CreateKeyRequest { rate_limits: vec![limit], ..caller::create(&fleet.application, "limited") };
        let made: pb::CreateKeyResponse =
            fleet.clients[0].signed("KeyService/CreateKey", &request, PATIENCE).await.expect("create");
        for at in 0..fleet.replicas.len() {
            let dice = Dice::new(seed, 200 + at as u64);
            tasks.spawn(Arc::clone(self).spend(Arc::clone(fleet), Arc::clone(book), dice, at, made.secret.clone()));
        }
    }

    async fn spend(self: Arc<Self>, fleet: Arc<Fleet>, book: Arc<Book>, mut dice: Dice, at: usize, secret: String) {
        let request = caller::verify(&secret);
        while !book.is_over() {
            let sent = time_of_day();
            let answer: Result<pb::VerifyKeyResponse, _> =
                fleet.clients[at].by_token("KeyService/VerifyKey", &request, Duration::from_secs(3)).await;
            match answer {
                Ok(answer) if answer.verdict() == pb::Verdict::Valid => {
                    self.calls.lock().expect("lock").push((sent, time_of_day()));
                }
                Ok(_) => tokio::time::sleep(dice.millis(5, 30)).await,
                Err(status) => {
                    book.failed("Spend", &status);
                    tokio::time::sleep(dice.millis(20, 60)).await;
                }
            }
        }
    }

    /// Windows in which more was spent than there is. A call that began in one window and was
    /// answered in the next may have been spent in either, so it counts in none.
    pub(crate) fn judge(&self) -> Vec<String> {
        let calls = self.calls.lock().expect("lock");
        let windows = over(&calls, WINDOW);
        let most = windows.values().max().copied().unwrap_or_default();
        println!("{} VALID of a limit of {LIMIT}, in {} windows, at most {most} in one", calls.len(), windows.len());
        let limit = usize::try_from(LIMIT).expect("small");
        windows.iter().filter(|(_, spent)| **spent > limit).map(|(at, spent)| format!("window {at}: {spent}")).collect()
    }
}

/// How many calls lie within each window, which are aligned to the Unix epoch.
fn over(calls: &[(Duration, Duration)], window: Duration) -> BTreeMap<u128, usize> {
    let number = |at: Duration| at.as_nanos() / window.as_nanos();
    let mut windows = BTreeMap::new();
    for (sent, answered) in calls.iter().filter(|(sent, answered)| number(*sent) == number(*answered)) {
        debug_assert!(sent <= answered);
        *windows.entry(number(*sent)).or_default() += 1;
    }
    windows
}

fn time_of_day() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_in_the_window_that_holds_it() {
        let at = Duration::from_millis;
        let calls = [(at(3999), at(4000)), (at(4000), at(4001)), (at(5000), at(5999)), (at(5999), at(6000))];
        assert_eq!(over(&calls, WINDOW), BTreeMap::from([(2, 2)]));
    }
}
