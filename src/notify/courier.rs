use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    Messenger,
    disable::disable,
    http::short,
    letter::letter,
    mail::{self, Mail, Mailer},
};
use crate::{
    domain::{
        delivery::{Attempt, Sender},
        webhook::{Disabled, Webhook},
    },
    entropy::Entropy,
    meters,
    replica::Replica,
    store::{Channel, Claimed, Destination, Marked, Slots, Store},
    telemetry::Budget,
};

/// Carries what is to be told. One in each process; what two of them do at once, claims keep
/// apart.
#[derive(Debug)]
pub struct Courier {
    carrier: Arc<Carrier>,
    every: Duration,
    unread: Budget,
    under_way: JoinSet<Arrived>,
    busy: HashMap<Lane, HashMap<String, usize>>,
}

/// What sends, and says what came of it.
#[derive(Debug)]
struct Carrier {
    store: Store,
    replica: Replica,
    messenger: Messenger,
    mailer: Option<Mailer>,
    entropy: Entropy,
    sender: Sender,
    unwritten: Budget,
    unsigned: Budget,
}

/// What has its own room: a receiver that is down takes none from those that are not, and a
/// mail server none from webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lane {
    Webhooks,
    FailingWebhooks,
    Mail,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Webhooks, Self::FailingWebhooks, Self::Mail];

    /// How many at once, over all and to one destination.
    const fn room(self) -> (usize, usize) {
        match self {
            Self::Webhooks => (32, 4),
            Self::FailingWebhooks => (16, 1),
            Self::Mail => (8, 1),
        }
    }

    const fn channel(self) -> Channel {
        match self {
            Self::Webhooks | Self::FailingWebhooks => Channel::Webhook,
            Self::Mail => Channel::Mail,
        }
    }
}

#[derive(Debug)]
struct Arrived {
    lane: Lane,
    destination: String,
}

/// How long what is under way may take when the server stops.
const LAST: Duration = Duration::from_secs(3);
/// How often what came of it is told to a database that does not answer.
const TELLS: u32 = 5;
const TELL_AGAIN: Duration = Duration::from_millis(500);
/// How often one thing is said that stays as it is.
const SAID_EVERY: Duration = Duration::from_secs(60);

impl Courier {
    #[must_use]
    pub fn new(
        (store, replica): (Store, Replica),
        messenger: Messenger,
        mailer: Option<Mailer>,
        entropy: Entropy,
        sender: Sender,
        every: Duration,
    ) -> Self {
        store.deliver_mail(mailer.is_some());
        let budget = || Budget::of(1, SAID_EVERY);
        let carrier =
            Carrier { store, replica, messenger, mailer, entropy, sender, unwritten: budget(), unsigned: budget() };
        let (carrier, unread) = (Arc::new(carrier), budget());
        Self { carrier, every, unread, under_way: JoinSet::new(), busy: HashMap::new() }
    }

    /// Runs until `stop` is done.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        loop {
            self.fill().await;
            meters::NOTICES_UNDER_WAY.set_count(self.under_way.len());
            tokio::select! {
                () = &mut stop => break,
                () = self.carrier.store.told() => {}
                Some(arrived) = self.under_way.join_next() => self.arrived(arrived),
                () = tokio::time::sleep(self.every) => {}
            }
        }
        let all = async { while self.under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST, all).await.is_err() {
            tracing::info!("what is being told is cut off, and told again with the same id at the next start");
            self.under_way.shutdown().await;
        }
        if let Err(error) = self.carrier.store.release_deliveries(self.carrier.sender).await {
            tracing::warn!(%error, "claims of deliveries were not let go of, and run out by themselves");
        }
    }

    /// Starts as many as there is room for. A lane that fails takes nothing from the next one.
    async fn fill(&mut self) {
        while let Some(arrived) = self.under_way.try_join_next() {
            self.arrived(arrived);
        }
        for lane in Lane::ALL {
            if lane == Lane::Mail && self.carrier.mailer.is_none() {
                continue;
            }
            let busy = self.busy.get(&lane).cloned().unwrap_or_default();
            let (most, each) = lane.room();
            let free = most.saturating_sub(busy.values().sum());
            if free == 0 {
                continue;
            }
            let failing = lane == Lane::FailingWebhooks;
            let slots = Slots { channel: lane.channel(), failing, free, each, busy };
            match self.carrier.store.claim_deliveries(self.carrier.sender, slots).await {
                Ok(claimed) => claimed.into_iter().for_each(|claimed| self.start(lane, claimed)),
                Err(error) => {
                    if let Some(left_out) = self.unread.take() {
                        tracing::warn!(?lane, %error, left_out, "what is to be told could not be read, and is tried again");
                    }
                }
            }
        }
    }

    fn start(&mut self, lane: Lane, claimed: Claimed) {
        let (carrier, destination) = (Arc::clone(&self.carrier), claimed.destination.clone());
        *self.busy.entry(lane).or_default().entry(destination.clone()).or_default() += 1;
        self.under_way.spawn(async move {
            carrier.carry(claimed).await;
            Arrived { lane, destination }
        });
    }

    fn arrived(&mut self, arrived: Result<Arrived, tokio::task::JoinError>) {
        match arrived {
            Ok(Arrived { lane, destination }) => {
                if let Some(busy) = self.busy.get_mut(&lane)
                    && let Some(count) = busy.get_mut(&destination)
                {
                    *count -= 1;
                    if *count == 0 {
                        busy.remove(&destination);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "a delivery did not end; its claim runs out"),
        }
    }
}

impl Carrier {
    async fn carry(&self, claimed: Claimed) {
        let attempt = match &claimed.to {
            Destination::Webhook(webhook) => {
                self.messenger.send(webhook, claimed.notice_id, claimed.payload.clone()).await
            }
            Destination::Mailbox(address) => self.mail(&claimed, address).await,
        };
        let (why, gone) = match &attempt {
            Attempt::Delivered { .. } => (String::new(), false),
            Attempt::Failed { why, .. } | Attempt::Refused { why } | Attempt::Unsigned { why } => (why.clone(), false),
            Attempt::Gone => ("HTTP 410".to_owned(), true),
        };
        meters::NOTICES.count([channel(&claimed).1, outcome(&attempt)]);
        let fraction = self.entropy.fraction();
        for _ in 0..TELLS {
            match self.store.mark_delivery(claimed.id, self.sender, attempt.clone(), fraction).await {
                Ok(marked) => return self.marked(&claimed, marked, why, gone).await,
                Err(error) => {
                    if let Some(left_out) = self.unwritten.take() {
                        tracing::warn!(%error, delivery = %claimed.id, left_out, "what came of it is not written yet");
                    }
                }
            }
            tokio::time::sleep(TELL_AGAIN).await;
        }
        tracing::error!(delivery = %claimed.id, "what came of it was not written: it is sent again, with the same id");
    }

    async fn mail(&self, claimed: &Claimed, address: &str) -> Attempt {
        let Some(mailer) = &self.mailer else {
            return Attempt::Failed { status: None, why: "there is no mail server".to_owned() };
        };
        let (subject, text) = letter(&claimed.kind, &claimed.payload);
        let (id, to) = (claimed.notice_id.to_string(), address.to_owned());
        match mailer.send(&Mail { id, to, subject, text, time: claimed.time }).await {
            mail::Outcome::Delivered => Attempt::Delivered { status: None },
            mail::Outcome::Refused(why) => Attempt::Refused { why },
            mail::Outcome::Failed(why) => Attempt::Failed { status: None, why },
        }
    }

    async fn marked(&self, claimed: &Claimed, marked: Marked, why: String, gone: bool) {
        let (delivery, kind) = (claimed.id, claimed.kind.as_str());
        match marked {
            Marked::Done => tracing::debug!(%delivery, kind, "told"),
            Marked::Again { attempts, after } => {
                tracing::info!(%delivery, kind, attempts, ?after, %why, "not told yet, and tried again");
            }
            Marked::Unsigned => {
                if let Some(left_out) = self.unsigned.take() {
                    let advice = "start the server with the file that holds its key, by --secrets-key-file";
                    tracing::warn!(webhook = %claimed.destination, %why, advice, left_out, "a webhook is told nothing, since its messages cannot be signed");
                }
            }
            Marked::GivenUp { attempts } => {
                meters::GIVEN_UP.count(channel(claimed).0 as usize);
                tracing::warn!(%delivery, kind, attempts, %why, "not told, and given up");
            }
            Marked::NothingArrives => {
                if let Destination::Webhook(webhook) = &claimed.to {
                    self.disable(webhook, if gone { Disabled::Gone } else { Disabled::Failing }, why).await;
                }
            }
        }
    }

    async fn disable(&self, webhook: &Webhook, why: Disabled, last_error: String) {
        let (id, host) = (webhook.id, webhook.url.host().to_owned());
        match disable(&self.store, &self.replica, webhook, why, short(&last_error)).await {
            Ok(true) => {
                meters::WEBHOOKS_DISABLED.count(0);
                tracing::warn!(webhook = %id, %host, ?why, %last_error, "a webhook is disabled: nothing arrives there")
            }
            Ok(false) => {}
            // What used up its attempts is still due: the next attempt ends here again.
            Err(error) => tracing::warn!(webhook = %id, %error, "a webhook could not be disabled yet"),
        }
    }
}

/// As it is counted, and its word.
fn channel(claimed: &Claimed) -> (meters::Channel, &'static str) {
    match claimed.to {
        Destination::Webhook(_) => (meters::Channel::Webhook, "webhook"),
        Destination::Mailbox(_) => (meters::Channel::Mail, "mail"),
    }
}

fn outcome(attempt: &Attempt) -> &'static str {
    match attempt {
        Attempt::Delivered { .. } => "delivered",
        Attempt::Failed { .. } => "failed",
        Attempt::Unsigned { .. } => "unsigned",
        Attempt::Refused { .. } => "refused",
        Attempt::Gone => "gone",
    }
}
