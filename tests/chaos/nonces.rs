//! A signed call is good once, whichever replicas it is sent to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::{client::Headers, pb};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::Status;

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
    /// Calls that were taken once, and are sent again much later.
    old: Mutex<Vec<Signed>>,
    again: AtomicUsize,
    /// Copies that were refused for that.
    refused: AtomicUsize,
}

type Answer = Result<pb::CreateKeyResponse, Status>;

/// What was sent.
#[derive(Debug, Clone)]
struct Signed {
    name: String,
    message: Vec<u8>,
    headers: Headers,
}

impl Replays {
    /// Sends the same bytes to everybody: to two at once, and to each afterwards.
    pub(crate) async fn run(self: Arc<Self>, fleet: Arc<Fleet>, book: Arc<Book>, mut dice: Dice) {
        for number in 0.. {
            if book.is_over() {
                return;
            }
            let name = format!("nonce-{number}");
            let (signed, answers) = send_to_several(&fleet, &name, &mut dice).await;
            let taken = times_taken(&answers);
            self.refused.fetch_add(answers.iter().filter(|answer| is_replay(answer)).count(), Ordering::SeqCst);
            self.taken.lock().expect("lock").push((name, taken));
            if taken > 0 {
                self.old.lock().expect("lock").push(signed);
            }
            self.send_old(&fleet, &mut dice).await;
            tokio::time::sleep(dice.millis(100, 400)).await;
        }
    }

    /// To a replica that may be new, by a clock that may have been stepped.
    async fn send_old(&self, fleet: &Fleet, dice: &mut Dice) {
        let Some(old) = ({
            let old = self.old.lock().expect("lock");
            dice.below(old.len() + 1).checked_sub(1).map(|n| old[n].clone())
        }) else {
            return;
        };
        let client = &fleet.clients[dice.below(fleet.replicas.len())];
        let answer = client.send::<pb::CreateKeyResponse>(METHOD, old.message, &old.headers, WITHIN).await;
        self.again.fetch_add(1, Ordering::SeqCst);
        self.refused.fetch_add(usize::from(is_replay(&answer)), Ordering::SeqCst);
        if is_taken(&answer) {
            self.taken.lock().expect("lock").push((old.name, 2));
        }
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// What was taken twice, by what the callers heard and by what there is.
    pub(crate) fn judge(&self, fleet: &Fleet) -> Vec<String> {
        let taken = self.taken.lock().expect("lock");
        let twice =
            taken.iter().filter(|(_, times)| *times > 1).map(|(name, times)| format!("{name}: taken {times} times"));
        let made = "SELECT name, count(*) FROM api_key WHERE name LIKE 'nonce-%' GROUP BY name HAVING count(*) > 1";
        let made = fleet.psql(made);
        let once = taken.iter().filter(|(_, times)| *times == 1).count();
        let again = self.again.load(Ordering::SeqCst);
        let (all, refused) = (taken.len(), self.refused());
        println!(
            "{all} calls sent to several replicas: {once} taken once; {again} of them sent again later; \
             {refused} copies refused as such"
        );
        twice.chain(made.lines().map(|line| format!("there twice: {line}"))).collect()
    }
}

/// How often a call is taken that is sent to several.
pub(crate) async fn replay(fleet: &Fleet, name: &str, dice: &mut Dice) -> usize {
    times_taken(&send_to_several(fleet, name, dice).await.1)
}

async fn send_to_several(fleet: &Fleet, name: &str, dice: &mut Dice) -> (Signed, Vec<Answer>) {
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
    (Signed { name: name.to_owned(), message, headers }, answers)
}

fn times_taken(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| is_taken(answer)).count()
}

fn is_replay(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|status| reason(status) == "NONCE_REUSED")
}

fn is_taken(answer: &Answer) -> bool {
    match answer {
        Ok(_) => true,
        Err(status) => reason(status) == "COMMITTED_NOT_CONFIRMED",
    }
}
