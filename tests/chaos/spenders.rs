//! A limit is a limit of all replicas together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use portcullis::pb;
use tokio::task::JoinSet;

use crate::{
    book::Book,
    caller,
    dice::Dice,
    fleet::{Fleet, PATIENCE, again},
};

const LIMIT: i64 = 40;
const WINDOW: Duration = Duration::from_secs(2);

/// VALID calls of one key.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    calls: Mutex<Vec<Call>>,
}

/// By the machine's time of day, which is the database's, too, until that is stepped.
#[derive(Debug, Clone, Copy)]
struct Call {
    sent: Duration,
    answered: Duration,
    /// When the window ends, as the answer says by the database's time.
    window: i64,
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
        let create = async || fleet.clients[0].signed("KeyService/CreateKey", &request, PATIENCE).await;
        let made: pb::CreateKeyResponse = again(create).await.expect("create");
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
                    let window = answer.rate_limits.first().and_then(|limit| limit.reset_time).expect("a window");
                    let call = Call { sent, answered: time_of_day(), window: window.seconds };
                    self.calls.lock().expect("lock").push(call);
                }
                Ok(_) => tokio::time::sleep(dice.millis(5, 30)).await,
                Err(status) => {
                    book.failed("Spend", &status);
                    tokio::time::sleep(dice.millis(20, 60)).await;
                }
            }
        }
    }

    /// Windows in which something was spent.
    pub(crate) fn windows(&self) -> usize {
        self.calls.lock().expect("lock").iter().map(|call| call.window).collect::<BTreeSet<_>>().len()
    }

    /// Windows in which more was spent than there is: those that the answers name, and, until the
    /// database's time of day was stepped, those of the machine's. A call that began in one window and
    /// was answered in the next may have been spent in either, so it counts in none of the latter.
    pub(crate) fn judge(&self, stepped_since: Option<Duration>) -> Vec<String> {
        let calls = self.calls.lock().expect("lock");
        let mut named: BTreeMap<i64, usize> = BTreeMap::new();
        for call in calls.iter() {
            *named.entry(call.window).or_default() += 1;
        }
        let before: Vec<_> =
            calls.iter().copied().filter(|call| stepped_since.is_none_or(|since| call.answered < since)).collect();
        let windows = over(&before, WINDOW);
        let most = windows.values().chain(named.values()).max().copied().unwrap_or_default();
        println!("{} VALID of a limit of {LIMIT}, in {} windows, at most {most} in one", calls.len(), named.len());
        let limit = usize::try_from(LIMIT).expect("small");
        let named = named.iter().map(|(at, spent)| (format!("window to {at}"), *spent));
        let windows = windows.iter().map(|(at, spent)| (format!("window {at}"), *spent));
        let all = named.chain(windows).filter(|(_, spent)| *spent > limit);
        all.map(|(window, spent)| format!("{window}: {spent} of {limit}")).collect()
    }
}

/// How many calls lie within each window, which are aligned to the Unix epoch.
fn over(calls: &[Call], window: Duration) -> BTreeMap<u128, usize> {
    let number = |at: Duration| at.as_nanos() / window.as_nanos();
    let mut windows = BTreeMap::new();
    for call in calls.iter().filter(|call| number(call.sent) == number(call.answered)) {
        *windows.entry(number(call.sent)).or_default() += 1;
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
        assert_eq!(over(&[(3999, 4000), (4000, 4001), (5000, 5999), (5999, 6000)].map(call), WINDOW), [(2, 2)].into());
    }

    fn call((sent, answered): (u64, u64)) -> Call {
        let at = Duration::from_millis;
        Call { sent: at(sent), answered: at(answered), window: 6 }
    }

    #[test]
    fn more_than_there_is_in_a_window_is_found_by_its_name_and_by_the_machines_time() {
        let limit = u64::try_from(LIMIT).expect("small");
        let spent = |calls: Vec<Call>| Spent { calls: Mutex::new(calls) };
        let within: Vec<_> = (0..limit).map(|n| call((4000 + n, 4001 + n))).collect();
        let one_more = |window| Call { window, ..call((4500, 4501)) };
        assert_eq!(spent(within.clone()).judge(None), [""; 0]);
        let with = |call: Call| spent(within.iter().copied().chain([call]).collect());
        assert_eq!(with(one_more(6)).judge(None).len(), 2, "by both");
        assert_eq!(with(one_more(8)).judge(None).len(), 1, "that it names another does not help");
        assert_eq!(with(one_more(6)).judge(Some(Duration::ZERO)).len(), 1, "by its name, where clocks are stepped");
        assert_eq!(with(one_more(8)).judge(Some(Duration::ZERO)), [""; 0]);
    }
}
