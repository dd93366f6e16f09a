//! Portcullis issues API keys, answers *is this key good for this request?* from memory,
//! and makes a revocation take effect everywhere before the call that revokes returns.
//!
//! # The way through
//!
//! ```text
//! write:  proto → grpc (gate: auth makes the Caller and the Act) → keys/<rpc> → domain rules
//!              → store.write { nonce + account again + rows + event + audit } → replica.confirm → answer
//! verify: proto → grpc (gate) → keys/verify → replica: inside the lease? → index (memory) → domain::verdict → limits, usage, signals → answer
//! envoy:  Check → grpc/envoy: the same question, asked about an HTTP request and answered as one
//! watch:  store.log → replica/sync → index, then tail → watch/stream → grpc → gateway
//! ```
//!
//! A mutation and its event are one transaction. The sync loop (`replica::sync`) reads the
//! log in order, applies it to the index, says so durably, and that renews the lease that
//! every answer needs. A mutation returns when each replica has said that it applied it, and,
//! where it takes something away, that nobody answers by what was before: what verifiers may
//! keep for a while (`cache_ttl`) is noted before the look-up that it rests on
//! (`index::cached`), and waited for (`replica::edge`).
//!
//! # The rooms, and what each may know
//!
//! ```text
//! domain     rules: keys, accounts, permissions, verdicts, events        → signing (kids), guard
//! signing    what is signed and how, for both sides                      → nothing
//! guard      promises that a test may switch off                         → nothing
//! clock      the time of day, and the time since boot                    → domain, guard
//! entropy    randomness                                                  → domain
//! pb         generated code, and the descriptors that it is made from    → nothing
//! chain      the audit log's hashes, and what a broken one says          → guard
//! store      rows, the log, the one way to write                         → domain, signing, chain, clock, entropy, guard
//! index      all keys and accounts in memory                             → domain, signing, guard
//! tail       the last events in memory, and a bell                       → domain
//! usage      calls counted in memory, added in numbered batches           → store, domain
//! signals    what is unlike before in the use of keys                    → store, index, replica, domain
//! limits     budgets of keys, a chunk at a time in memory                → store, domain, clock, meters
//! replica    lease, sync loop, barrier                                   → store, index, tail, domain, clock, guard, meters
//! auth       proves callers                                              → index, replica, store, domain, signing, guard
//! keys, applications, accounts   one file a call                         → auth, store, index, replica, domain, …
//! audit      the audit log, read                                         → auth, store, index, chain, domain
//! watch      streams of revocations                                      → auth, store, index, tail, replica, domain, entropy, guard, meters
//! grpc       the wire: gate, statuses, conversions                       → all of the above, pb, telemetry
//! meters     what is counted and measured, each once                     → nothing
//! telemetry  logs, traces, request ids, the way to a collector           → clock, meters
//! admin      /metrics, /livez and /readyz on a port of their own         → domain, guard, meters, replica
//! jobs       what is done when its time has come                         → keys, store, replica, domain, signing, entropy, meters
//! notify     sends webhooks and mail: the courier, what it may reach     → store, replica, domain, clock, entropy, guard, meters, telemetry
//! webhooks   who is told, where; one file a call                         → auth, store, index, replica, notify, domain, …
//! housekeeping   forgets what nobody needs any more                      → store, replica, limits, domain, meters
//! bootstrap  the first admin, beside the database                        → accounts, applications, store, domain, signing, clock, entropy
//! recovery   what a restored database lost, and who answers for it      → store, domain, guard
//! check      whether a server could start here, and changes nothing      → store, notify, domain
//! config     settings; the only reader of the environment                → the types that it fills
//! serve      builds every part once                                      → everything
//! client     the other side: credentials, calls by descriptor, the audit log verified → pb, signing, chain
//! cli        the commands                                                → everything
//! ```
//!
//! # Invariants (`tests/architecture.rs` holds the tree to the map and to the first six)
//!
//! 1. `domain` does no I/O and knows neither protobuf nor SQL.
//! 2. Only `grpc` says which gRPC code an error is.
//! 3. Only `store` names sea-orm.
//! 4. Only `config` and the settings of `telemetry` and `cli` read the environment.
//! 5. Only `auth` makes a `Caller` or, for a caller, an `Act`; only `store.write` changes anything.
//! 6. Only `clock` and `entropy` (and `client::fresh`, on the other side) touch time and randomness.
//! 7. No queue without a bound, no loop without an end.
//! 8. The text of a key is returned by Create and Rotate alone (and sealed by `jobs`), and never logged or stored.

#[cfg(feature = "server")]
pub mod accounts;
#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod applications;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "server")]
pub mod bootstrap;
pub mod chain;
#[cfg(feature = "server")]
pub mod check;
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod domain;
#[cfg(feature = "server")]
pub mod entropy;
#[cfg(feature = "server")]
pub mod grpc;
pub mod guard;
#[cfg(feature = "server")]
pub mod housekeeping;
#[cfg(feature = "server")]
pub mod index;
#[cfg(feature = "server")]
pub mod jobs;
#[cfg(feature = "server")]
pub mod keys;
#[cfg(feature = "server")]
pub mod limits;
#[cfg(feature = "server")]
pub mod meters;
#[cfg(feature = "server")]
pub mod notify;
pub mod pb;
#[cfg(feature = "server")]
pub mod recovery;
#[cfg(feature = "server")]
pub mod replica;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "server")]
pub mod signals;
pub mod signing;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod tail;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod usage;
#[cfg(feature = "server")]
pub mod watch;
#[cfg(feature = "server")]
pub mod webhooks;
