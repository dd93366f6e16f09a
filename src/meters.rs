//! What is counted and measured: every instrument once, by its name, and how all of them are
//! read. OTLP and Prometheus are two ways to say what [`read`] finds (`telemetry`, `admin`).
//!
//! One of each in a process, as with every set of metrics: they outlive a server that begins
//! anew. To count takes no lock and no memory: each thread adds to a line of its own, and
//! reading sums them up. What is known without counting, such as the size of the index, is
//! asked for when somebody reads ([`observe`]).
//!
//! Architecture invariant: a label has few values, all of them known here or in the code. No
//! key, application, account, address or text of a caller is one: `tests/telemetry` fails
//! over a label that it does not know.

mod calls;
mod counter;
mod gauge;
mod histogram;
mod labels;
mod lines;
mod pairs;
mod process;
mod prometheus;
mod reading;

use std::sync::{Arc, Mutex, PoisonError};

pub use calls::Calls;
pub use counter::Counter;
pub use gauge::{Gauge, Gauges, Held, Since, States, UpDown};
pub use histogram::{Histogram, bounds};
pub use labels::{Asked, Certificate, Channel, LeftOut, Level, Outcome, Signal, TooMany, Waited, Weak};
pub use pairs::Pairs;
pub use prometheus::{CONTENT_TYPE, prometheus, prometheus_name};
pub use reading::{About, Kind, Labels, Point, PointLabels, Reading, Value};

use labels::VERDICTS;
use reading::Instrument;

/// Of the conventions for RPCs.
pub static RPC_CALLS: Calls = Calls::new(About::seconds(
    "rpc.server.call.duration",
    "How long calls took from their headers to the end of their answer; a stream as long as it was open",
));
pub static VERDICTS_GIVEN: Counter<13> = Counter::new(
    About::count("portcullis.verdicts", "{call}", "Questions about keys that were answered, by verdict"),
    VERDICTS,
);
pub static REFUSED_CALLS: Pairs = Pairs::new(
    About::count(
        "portcullis.refused_calls",
        "{call}",
        "Calls that were refused before their caller was proven, by method and reason",
    ),
    ["rpc.method", "error.type"],
);
pub static CONNECTIONS_REFUSED: Counter<3> = Counter::new(
    About::count(
        "portcullis.refused_connections",
        "{connection}",
        "Connections that were closed as too many: at once, or to make room for another",
    ),
    TooMany::LABELS,
);
pub static CERTIFICATE_ENDS: Gauges<2> = Gauges::new(
    About::gauge(
        "portcullis.tls.certificate.not_after",
        "s",
        "When the certificate in use ends, in Unix time; of several authorities the next to end",
    ),
    Certificate::LABELS,
);
pub static CERTIFICATE_REFUSED: Gauges<2> = Gauges::new(
    About::gauge(
        "portcullis.tls.reload.failed",
        "{certificate}",
        "1 where the files hold something that is not taken, so that what was before stays in use",
    ),
    Certificate::LABELS,
);
pub static BARRIER: Histogram<2> = Histogram::new(
    About::seconds(
        "portcullis.barrier.duration",
        "How long mutations waited, from their commit on, until they were in effect",
    ),
    Waited::LABELS,
);
pub static NOT_CONFIRMED: Counter<2> = Counter::new(
    About::count(
        "portcullis.barrier.not_confirmed",
        "{call}",
        "Mutations that were written and whose caller heard COMMITTED_NOT_CONFIRMED",
    ),
    Waited::LABELS,
);
pub static SYNC: Histogram<2> = Histogram::new(
    About::seconds(
        "portcullis.sync.duration",
        "How long turns of the sync loop took, each a durable write that renews the lease",
    ),
    Outcome::LABELS,
);
pub static LEASE_REST: Gauge = Gauge::new(About::gauge(
    "portcullis.lease.rest",
    "s",
    "For how long answers may be given without another sync; 0: none is given",
));
pub static LEASE_AGE: Gauge = Gauge::new(About::gauge(
    "portcullis.lease.age",
    "s",
    "The time since the sync was sent that the last answer rests on; since the machine's start before the first one",
));
pub static REVISION: Gauge =
    Gauge::new(About::gauge("portcullis.revision", "{revision}", "The last revision that this replica answers by"));
pub static MEMBERS: Gauge = Gauge::new(About::gauge(
    "portcullis.replica.members",
    "{replica}",
    "Replicas that serve, as the last sync found them",
));
pub static STANDBYS: Gauge = Gauge::new(About::gauge(
    "portcullis.database.standbys",
    "{standby}",
    "Standbys that a commit may wait for, as the last sync found them",
));
pub static WEAKNESS: States<4> = States::new(
    About::gauge(
        "portcullis.database.weakness",
        "{weakness}",
        "1 where the database may lose what it has acknowledged, by why",
    ),
    Weak::LABELS,
);
pub static KEYS: Gauge = Gauge::new(About::gauge("portcullis.index.keys", "{key}", "Keys in memory"));
pub static ACCOUNTS: Gauge =
    Gauge::new(About::gauge("portcullis.index.accounts", "{account}", "Service accounts in memory"));
pub static APPLICATIONS: Gauge =
    Gauge::new(About::gauge("portcullis.index.applications", "{application}", "Applications in memory"));
pub static WATCHES: UpDown =
    UpDown::new(About::gauge("portcullis.watch.streams", "{stream}", "Open streams of revocations"));
pub static WATCH_LAG: Gauge = Gauge::new(About::gauge(
    "portcullis.watch.lag",
    "s",
    "The time since the slowest open stream had told all there was; a bookmark is due each second",
));
pub static WATCH_TOLD: Counter<1> = Counter::new(
    About::count("portcullis.watch.told", "{revocation}", "Revocations that were told to watchers"),
    Labels::NONE,
);
pub static LIMIT_ASKS: Counter<3> = Counter::new(
    About::count(
        "portcullis.limit.asks",
        "{ask}",
        "Asks of the database for a chunk of a limit's window, by what it gave",
    ),
    Asked::LABELS,
);
pub static JOB_PASSES: Pairs = Pairs::new(
    About::count(
        "portcullis.job.passes",
        "{pass}",
        "Times that a job looked for what is due, by whether it did all of it",
    ),
    ["portcullis.job", "portcullis.outcome"],
);
pub static JOB_DONE: Since = Since::new(
    About::gauge(
        "portcullis.job.since_done",
        "s",
        "The time since a job last did all that was due: what is due is late by no more",
    ),
    "portcullis.job",
);
pub static NOTICES: Pairs = Pairs::new(
    About::count(
        "portcullis.notice.attempts",
        "{attempt}",
        "Attempts to tell a webhook or a mailbox, by what came of them",
    ),
    ["portcullis.channel", "portcullis.outcome"],
);
pub static GIVEN_UP: Counter<2> = Counter::new(
    About::count(
        "portcullis.notice.given_up",
        "{notice}",
        "Notices that will not be told: their attempts are used up, or they waited for 7 days",
    ),
    Channel::LABELS,
);
pub static WEBHOOKS_DISABLED: Counter<1> = Counter::new(
    About::count(
        "portcullis.webhook.disabled",
        "{webhook}",
        "Webhooks that were disabled because nothing arrives there",
    ),
    Labels::NONE,
);
pub static NOTICES_UNDER_WAY: Gauge = Gauge::new(About::gauge(
    "portcullis.notice.under_way",
    "{notice}",
    "Notices that are being told now by this replica",
));
pub static NOTICES_WAITING: Gauge = Gauge::new(About::gauge(
    "portcullis.notice.waiting",
    "{notice}",
    "Notices that no replica has told yet, counted once a minute and up to 10000",
));
pub static LOG_LINES: Counter<5> = Counter::new(
    About::count("portcullis.log.lines", "{line}", "Log lines that were written, by level"),
    Level::LABELS,
);
pub static LOG_LEFT_OUT: Counter<2> = Counter::new(
    About::count(
        "portcullis.log.left_out",
        "{line}",
        "Log lines that were left out: of failed calls because there were too many, or because nobody read the log",
    ),
    LeftOut::LABELS,
);
pub static NOT_SENT: Counter<3> = Counter::new(
    About::count(
        "portcullis.telemetry.dropped",
        "{item}",
        "Spans and log records that were dropped, and exports of metrics that failed: the collector was away or too slow",
    ),
    Signal::LABELS,
);

/// In the order in which they are told.
static ALL: [&dyn Instrument; 32] = [
    &RPC_CALLS,
    &REFUSED_CALLS,
    &CONNECTIONS_REFUSED,
    &CERTIFICATE_ENDS,
    &CERTIFICATE_REFUSED,
    &VERDICTS_GIVEN,
    &BARRIER,
    &NOT_CONFIRMED,
    &LEASE_REST,
    &LEASE_AGE,
    &SYNC,
    &REVISION,
    &MEMBERS,
    &STANDBYS,
    &WEAKNESS,
    &KEYS,
    &ACCOUNTS,
    &APPLICATIONS,
    &WATCHES,
    &WATCH_LAG,
    &WATCH_TOLD,
    &LIMIT_ASKS,
    &JOB_PASSES,
    &JOB_DONE,
    &NOTICES,
    &GIVEN_UP,
    &NOTICES_UNDER_WAY,
    &NOTICES_WAITING,
    &WEBHOOKS_DISABLED,
    &LOG_LINES,
    &LOG_LEFT_OUT,
    &NOT_SENT,
];

/// What the observer sets.
static OBSERVED: [&Gauge; 7] = [&LEASE_REST, &LEASE_AGE, &REVISION, &KEYS, &ACCOUNTS, &APPLICATIONS, &WATCH_LAG];

/// What sets gauges.
pub type Observer = Arc<dyn Fn() + Send + Sync>;

/// Sets gauges when somebody reads. Of the server that runs; a lock that no call takes.
static OBSERVER: Mutex<Option<Observer>> = Mutex::new(None);

/// Has gauges set before they are read; `None`: whoever did so is gone, and they say nothing.
pub fn observe(observer: Option<Observer>) {
    *OBSERVER.lock().unwrap_or_else(PoisonError::into_inner) = observer;
}

/// All instruments as they are now, and what the process says of itself.
#[must_use]
pub fn read() -> Vec<Reading> {
    let observer = OBSERVER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match observer {
        Some(observer) => observer(),
        None => OBSERVED.iter().for_each(|gauge| gauge.forget()),
    }
    ALL.iter().map(|instrument| instrument.read()).chain(process::read()).collect()
}

#[cfg(test)]
mod tests;
