//! The protocol between replicas, as models that are searched to their last state.
//!
//! What is promised: once a RevokeKey returned OK, no replica answers VALID, nor does a verifier
//! that was allowed to keep an answer; what was confirmed is not lost, and a replica does not take
//! a REVOKED back; no window of a limit admits more than the limit. `holds` shows that the protocol
//! keeps this whatever fails, `caught` that each of its rules is needed: a variant without it is
//! shown to break a promise, and how is printed (`cargo test --test model -- --nocapture`).
//!
//! The models are small: one key, leases of a few ticks, and no more faults than they name. They
//! share no code with the server; that it does what they say is for its own tests and for the
//! chaos suite, whose judge (`history`) is judged here as well.
//!
//! | rule | variants without it |
//! |---|---|
//! | **`lease`** | |
//! | A mutation returns only when every member has said that it applied it, or cannot answer any more; also when it found nothing left to do | `NoWait`, `FastPath` |
//! | A replica answers for the length of its lease, from before a sync was sent, by a clock that runs while the machine sleeps. To be told is a hint | `LeaseFromReply`, `ClockStops`, `NotifyOnly` |
//! | A sync says what is applied, not what it is about to read | `AckBeforeApply` |
//! | The timer is the longest lease of any member, and a margin for clocks of different speeds | `TimerOfOwnLease`, `NoMargin` |
//! | A member is taken off the list when it has been silent for its own lease and the margin; when it finds that, it answers nothing until it has joined anew | `CleansLiveMember`, `CleansByOwnLease`, `IgnoresMissingRow` |
//! | **`join`** | |
//! | A replica is on the list, for all to see, before the sync that grants it a lease; only a sync does; and a sync puts nobody on the list | `JoinGrantsLease`, `LoadGrantsLease`, `SyncUpserts` |
//! | Whoever is silent counts until the row is gone, and it goes only if it has not beaten since: a sync that is under way would be overlooked | `SilentRowIgnored`, `CleanedWithoutBeat` |
//! | A look at the list counts for those whose commit was acknowledged before it was sent | `PollBegunBefore` |
//! | **`edge`** | |
//! | An answer may be kept for no longer than the rest of the lease, from before it was asked for | `TtlBeyondLease`, `TtlFromReply` |
//! | A revision is at the edge when all that was promised before it was applied is over; so a promise is noted before the look that it rests on, and looked up after the revision is applied | `EdgeIsAcked`, `NotedAfterLook`, `PromisesReadBeforeApply` |
//! | A replica that stops stays on the list while its promises stand | `LeavesAtOnce` |
//! | **`durable`** | |
//! | A mutation is confirmed by a sync of the writer's own that began after its commit and was durable; the timer does not replace it | `TimerForOwnSync` |
//! | That sync must have said that it applied this very event: after a failover another may have its number | `ConfirmedByNumber` |
//! | A call that found nothing left to do writes, so that its commit waits behind what it saw | `RetryDoesNotWrite` |
//! | A sync is durable only if commits waited for a standby from its begin to its end | `StandbysNotRead`, `StandbysReadBefore`, `StandbysReadAfter` |
//! | What a sync read is applied once it is durable: a primary that has crashed and started again shows commits that no standby has | `AppliedBeforeCommit` |
//! | A replica whose history is gone writes the revocations again that it knew of | `ForkForgets` |
//! | **`incarnation`** | |
//! | Acknowledgements count only when this run of the server is there for longer than the longest lease that may be: it may have forgotten members, and with them how long their leases are. The server goes by the longest that it knows: a member is forgotten only where commits wait for no standby (`relaxed`), or by a restore, and there all are to have one lease | `EarlyExitWhileYoung`, `LongestLeaseKnown` |
//! | For how long, a replica measures by its own clock, from when it saw the log's head name this run; it says so there, and that counts for this run only | `AgeByServersClock`, `MeasuredAcrossRuns`, `SettledWhicheverRun` |
//! | A restore is marked before anybody serves from it, which takes the run's name out of the head, and what was measured before the name was put there again does not count, though the run is the same | `RestoreWithoutMark`, `MeasuredByRunAlone` |
//! | **`budget`** | |
//! | The window is that of the database's time, and a chunk is spent until its end, counted from before it was asked for | `WindowOfOwnClock`, `EndFromReply` |
//! | A grant is never less than nothing, and one that is unknown is lost | `LeastAlone`, `UnknownGrantSpent` |
//! | What is not spent is given back once, after it was dropped, and only to its own window | `ReturnRetried`, `ReturnBeforeDrop`, `ReturnToAnyWindow` |
//! | **`nonce`** | |
//! | Whether a request has expired is asked behind the lock, by the time of that moment: its nonce may be forgotten by then | `TimeOfBegin`, `TimeOfArrival` |

mod budget;
mod caught;
#[expect(clippy::print_stdout, reason = "how much was searched, and what was found, for whoever asks")]
mod check;
mod durable;
mod edge;
mod histories;
#[path = "../support/history.rs"]
mod history;
mod holds;
mod incarnation;
mod join;
mod lease;
mod nonce;
