//! A signed call is good once, whichever replicas it is sent to.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::pb;
use prost::Message as _;
use tokio::task::JoinSet;

use crate::{
    book::Book,
    caller::{self, reason},
    dice::Dice,
    fleet::Fleet,
};

const METHOD: &str = "KeyService/CreateKey";
const WITHIN: Duration = Duration::from_secs(8);

/// How often each call was taken.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    taken: Mutex<Vec<(String, usize)>>,
}

impl Replays {
    /// Sends the same bytes to everybody: to two at once, and to each afterwards.
    pub(crate) async fn run(self: Arc<Self>, fleet: Arc<Fleet>, book: Arc<Book>, mut dice: Dice) {
        for number in 0.. {
            if book.is_over() {
                return;
            }
            let name = format!("nonce-{number}");
            let taken = replay(&fleet, &name, &mut dice).await;
            self.taken.lock().expect("lock").push((name, taken));
            tokio::time::sleep(dice.millis(100, 400)).await;
        }
    }

    /// What was taken twice, by what the callers heard and by what there is.
    pub(crate) fn judge(&self, fleet: &Fleet) -> Vec<String> {
        let taken = self.taken.lock().expect("lock");
        let twice =
            taken.iter().filter(|(_, times)| *times > 1).map(|(name, times)| format!("{name}: taken {times} times"));
        let made = "SELECT name, count(*) FROM api_key WHERE name LIKE 'nonce-%' GROUP BY name HAVING count(*) > 1";
        let made = fleet.psql(made);
        let once = taken.iter().filter(|(_, times)| *times == 1).count();
        println!("{} calls sent to several replicas: {once} taken once", taken.len());
        twice.chain(made.lines().map(|line| format!("there twice: {line}"))).collect()
    }
}

pub(crate) async fn replay(fleet: &Fleet, name: &str, dice: &mut Dice) -> usize {
    let message = caller::create(&fleet.application, name).encode_to_vec();
    let headers = fleet.caller.sign(METHOD, &message);
    let all = fleet.replicas.len();
    let first = dice.below(all);
    let mut calls = JoinSet::new();
    for at in [first, (first + 1) % all] {
        let (client, message, headers) = (fleet.clients[at].clone(), message.clone(), headers.clone());
        calls.spawn(async move { client.send::<pb::CreateKeyResponse>(METHOD, message, &headers, WITHIN).await });
    }
    let mut answers = calls.join_all().await;
    for client in &fleet.clients {
        answers.push(client.send(METHOD, message.clone(), &headers, WITHIN).await);
    }
    let is_taken = |answer: &Result<_, tonic::Status>| match answer {
        Ok(_) => true,
        Err(status) => reason(status) == "COMMITTED_NOT_CONFIRMED",
    };
    answers.iter().filter(|answer| is_taken(answer)).count()
}
