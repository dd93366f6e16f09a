//! What is measured, a file each.

mod away;
mod connections;
mod cut;
mod dead;
mod many;
mod revoke;
mod start;
mod verify;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use crate::{Setting, caller::Caller};

pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// So that no other measure may have it afterwards.
    pub(crate) changes_the_server: bool,
    run: for<'a> fn(&'a Setting) -> BoxFuture<'a, ()>,
}

impl Measure {
    pub(crate) async fn run(&self, setting: &Setting) {
        (self.run)(setting).await;
    }
}

/// In the order in which they are run.
pub(crate) const MEASURES: [Measure; 9] = [
    Measure {
        name: "revoke",
        what: "RevokeKey, one after the other at one replica, beside a bare durable commit",
        changes_the_server: false,
        run: |setting| Box::pin(revoke::alone(setting)),
    },
    Measure {
        name: "standby",
        what: "the same, where each commit waits for a synchronous standby",
        changes_the_server: true,
        run: |setting| Box::pin(revoke::with_a_standby(setting)),
    },
    Measure {
        name: "dead",
        what: "RevokeKey when one of three replicas was killed, paused or stopped just before",
        changes_the_server: false,
        run: |setting| Box::pin(dead::measure(setting)),
    },
    Measure {
        name: "away",
        what: "the whole database is paused: what is answered, and when it is over",
        changes_the_server: false,
        run: |setting| Box::pin(away::measure(setting)),
    },
    Measure {
        name: "cut",
        what: "one of three replicas is cut off from the database: how long it answers VALID",
        changes_the_server: false,
        run: |setting| Box::pin(cut::measure(setting)),
    },
    Measure {
        name: "many",
        what: "mutations a second, by many callers",
        changes_the_server: false,
        run: |setting| Box::pin(many::measure(setting)),
    },
    Measure {
        name: "verify",
        what: "VerifyKey, one after the other at one replica, while another revokes",
        changes_the_server: false,
        run: |setting| Box::pin(verify::measure(setting)),
    },
    Measure {
        name: "connections",
        what: "sessions of one replica at the database",
        changes_the_server: false,
        run: |setting| Box::pin(connections::measure(setting)),
    },
    Measure {
        name: "start",
        what: "a replica begins, with very many keys",
        changes_the_server: false,
        run: |setting| Box::pin(start::measure(setting)),
    },
];

/// Makes so many keys, and waits for nobody but itself.
async fn make_keys(caller: &Caller, application: &str, many: usize) -> Vec<String> {
    const AT_ONCE: usize = 8;
    let mut making = JoinSet::new();
    let mut ids = Vec::with_capacity(many);
    let mut begun = 0;
    while ids.len() < many {
        while begun < many && making.len() < AT_ONCE {
            begun += 1;
            let (caller, request) = (caller.clone(), caller.hasty_creation(application));
            making.spawn(async move { caller.create(request).await.expect("a key") });
        }
        let made = making.join_next().await.expect("one is under way").expect("a task");
        ids.push(made.key.expect("a key").key_id);
    }
    ids
}
